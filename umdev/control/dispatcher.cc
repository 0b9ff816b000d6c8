#include "umdev/control/dispatcher.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "umdev/support/mutex.h"
#include "umdev/support/uuid.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;

constexpr std::string_view null_id = "null";

// What is not UTF-8 (a path, say) is shown with replacement characters: a reply is always valid.
std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Why a request cannot be called.
struct Refusal {
  int code = 0;
  std::string_view message;
  std::string text;
};

std::string make_error(std::string_view id, int code, std::string_view message, int error_number,
                       std::string_view text) {
  const Json error{{"code", code},
                   {"message", message},
                   {"data", {{"errno", error_number}, {"name", errno_name(error_number)}, {"text", text}}}};
  return R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"error":)" + to_text(error) + "}";
}

std::string make_error(std::string_view id, const Refusal& refusal) {
  const int number = refusal.code == code_method_not_found ? ENOSYS : EINVAL;
  return make_error(id, refusal.code, refusal.message, number, refusal.text);
}

std::string make_answer(std::string_view id, const Result<std::string>& result) {
  if (!result) {
    const Error& error = result.error();
    return make_error(id, code_failed, error.text, error.code, error.text);
  }
  return R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"result":)" + *result + "}";
}

// One request, ready to be called.
struct Request {
  std::size_t method = 0;
  Arguments arguments;
};

Refusal invalid_request(std::string text) {
  return {.code = code_invalid_request, .message = "Invalid Request", .text = std::move(text)};
}
Refusal invalid_params(std::string text) {
  return {.code = code_invalid_params, .message = "Invalid params", .text = std::move(text)};
}
std::string quote(std::string_view name) {
  return '"' + std::string(name) + '"';
}

std::expected<void, Refusal> check_value(const Parameter& parameter, const Json& value) {
  if (parameter.is_json) return {};
  if (!value.is_string())
    return std::unexpected(invalid_params("parameter " + quote(parameter.name) + " is not a string"));
  const auto& text = value.get_ref<const std::string&>();
  if (parameter.is_uuid && !Uuid::parse(text))
    return std::unexpected(invalid_params(
        "parameter " + quote(parameter.name) +
        " is not a UUID, which has 8-4-4-4-12 hexadecimal digits (create makes one when none is given)"));
  const auto& choices = parameter.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) return {};
  std::string known;
  for (const std::string_view choice : choices) known += (known.empty() ? "" : ", ") + quote(choice);
  return std::unexpected(invalid_params("parameter " + quote(parameter.name) + " is none of " + known));
}

// Brings parameters that come by position under their names.
std::expected<Json, Refusal> name_parameters(const Method& method, const Json& given) {
  if (given.is_object()) return given;
  if (given.size() > method.parameters.size()) return std::unexpected(invalid_params("too many parameters"));
  Json named = Json::object();
  for (std::size_t index = 0; index < given.size(); ++index)
    named[std::string(method.parameters[index].name)] = given[index];
  return named;
}

std::expected<Arguments, Refusal> check_parameters(const Method& method, const Json& given) {
  const auto named = name_parameters(method, given);
  if (!named) return std::unexpected(named.error());
  Arguments arguments;
  std::size_t used = 0;
  for (const Parameter& parameter : method.parameters) {
    const auto value = named->find(std::string(parameter.name));
    if (value == named->end()) {
      if (!parameter.required) continue;
      return std::unexpected(invalid_params("parameter " + quote(parameter.name) + " is missing"));
    }
    if (auto fits = check_value(parameter, *value); !fits) return std::unexpected(fits.error());
    arguments.add(parameter.name, parameter.is_json ? to_text(*value) : value->get<std::string>());
    ++used;
  }
  if (used == named->size()) return arguments;
  for (const auto& [name, value] : named->items())
    if (!arguments.find(name))
      return std::unexpected(invalid_params(quote(method.name) + " has no parameter " + quote(name)));
  return arguments;
}

std::expected<Request, Refusal> check_request(std::span<const Method> table, const Json& json) {
  const auto version = json.find("jsonrpc");
  if (version == json.end() || *version != "2.0")
    return std::unexpected(invalid_request(R"("jsonrpc" is not "2.0")"));
  const auto name = json.find("method");
  if (name == json.end() || !name->is_string())
    return std::unexpected(invalid_request("\"method\" is missing, or not a string"));
  const auto params = json.find("params");
  if (params != json.end() && !params->is_structured())
    return std::unexpected(invalid_request("\"params\" is neither an object nor an array"));
  const auto method = std::find_if(table.begin(), table.end(), [&](const Method& known) {
    return known.name == name->get_ref<const std::string&>();
  });
  if (method == table.end())
    return std::unexpected(Refusal{.code = code_method_not_found,
                                   .message = "Method not found",
                                   .text = "there is no method " + quote(name->get<std::string>())});
  auto arguments = check_parameters(*method, params == json.end() ? Json::object() : *params);
  if (!arguments) return std::unexpected(arguments.error());
  return Request{.method = static_cast<std::size_t>(method - table.begin()),
                 .arguments = std::move(*arguments)};
}

// One request: answers with a text, or an empty one.
void handle_one(Methods& methods, const Json& json, const Caller& caller, Done<std::string> done) {
  if (!json.is_object()) return done(make_error(null_id, invalid_request("a request is an object")));
  const auto id = json.find("id");
  const bool notification = id == json.end();
  if (!notification && !id->is_string() && !id->is_number() && !id->is_null())
    return done(make_error(null_id, invalid_request("\"id\" is neither a string, a number nor null")));
  const std::string id_text = notification ? std::string(null_id) : to_text(*id);
  auto request = check_request(methods.table(), json);
  if (!request) {
    // Without an id, only what is a request at all can be a notification.
    if (notification && request.error().code != code_invalid_request) return done(std::string());
    return done(make_error(id_text, request.error()));
  }
  struct Call {
    std::string id;
    bool notification;
    Done<std::string> done;
  };
  auto call = std::make_shared<Call>(Call{id_text, notification, std::move(done)});
  methods.call(request->method, std::move(request->arguments), caller, [call](Result<std::string> result) {
    call->done(call->notification ? std::string() : make_answer(call->id, result));
  });
}

// Puts the answers of a batch together, in the order in which they come.
class Batch {
 public:
  Batch(std::size_t calls, Done<std::string> done) : left_(calls), done_(std::move(done)) {}

  void add(std::string answer) {
    Done<std::string> done;
    {
      Lock lock(mutex_);
      if (!answer.empty()) answers_ += (answers_.empty() ? "" : ",") + answer;
      if (--left_ != 0) return;
      done = std::move(done_);
      answer = answers_.empty() ? std::string() : "[" + answers_ + "]";
    }
    done(std::move(answer));
  }

 private:
  Mutex mutex_;
  std::size_t left_ UMDEV_GUARDED_BY(mutex_);
  std::string answers_ UMDEV_GUARDED_BY(mutex_);
  Done<std::string> done_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace

void Dispatcher::handle(std::string_view message, const Caller& caller, Done<std::string> done) {
  const Json json = Json::parse(message, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return done(make_refusal(code_parse_error, "Parse error", EINVAL, "the message is no JSON"));
  if (!json.is_array()) return handle_one(methods_, json, caller, std::move(done));
  if (json.empty()) return done(make_error(null_id, invalid_request("the batch is empty")));
  if (json.size() > limits_.batch)
    return done(make_error(
        null_id, invalid_request("the batch has more than " + std::to_string(limits_.batch) + " calls")));
  // Whose they would be, nobody could tell.
  Caller without_descriptors = caller;
  without_descriptors.attachment = nullptr;
  const auto batch = std::make_shared<Batch>(json.size(), std::move(done));
  for (const Json& one : json)
    handle_one(methods_, one, without_descriptors,
               [batch](Result<std::string> answer) { batch->add(std::move(*answer)); });
}

std::string make_refusal(int code, std::string_view message, int error_number, std::string_view text) {
  return make_error(null_id, code, message, error_number, text);
}

}  // namespace umdev::control
