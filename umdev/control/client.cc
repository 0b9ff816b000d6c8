#include "umdev/control/client.h"

#include <poll.h>

#include <array>
#include <nlohmann/json.hpp>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"

namespace umdev::control {
namespace {

// Ordered, so that results are shown in the order in which the server tells them.
using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
}

Answer::Refusal read_refusal(const Json& error) {
  Answer::Refusal refusal{.code = number_of(error, "code"), .text = text_of(error, "message")};
  const auto data = error.find("data");
  if (data == error.end() || !data->is_object()) return refusal;
  refusal.error_number = number_of(*data, "errno");
  if (auto text = text_of(*data, "text"); !text.empty()) refusal.text = std::move(text);
  return refusal;
}

Result<Answer> read_answer(std::string_view line, std::uint64_t id) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(EPROTO, "the answer is no JSON object");
  const auto error = json.find("error");
  if (error != json.end() && error->is_object())
    return Answer{.result = {}, .descriptors = {}, .refusal = read_refusal(*error)};
  const auto answered = json.find("id");
  const auto result = json.find("result");
  if (answered == json.end() || *answered != id || result == json.end())
    return fail(EPROTO, "the answer belongs to no call");
  return Answer{.result = result->dump(-1, ' ', false, Json::error_handler_t::replace),
                .descriptors = {},
                .refusal = {}};
}

}  // namespace

Result<Client> Client::connect(const std::string& path) {
  return Client(UMDEV_TRY(os::connect_to(path)));
}

Result<> Client::begin(std::string_view method, const CallParameters& parameters, const CallParameters& json,
                       std::span<const int> fds) {
  Json named = Json::object();
  for (const auto& [name, value] : parameters) named[std::string(name)] = value;
  for (const auto& [name, text] : json) {
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) return fail(EINVAL, "a parameter is no JSON");
    named[std::string(name)] = std::move(value);
  }
  const Json request{{"jsonrpc", "2.0"}, {"id", ++last_id_}, {"method", method}, {"params", named}};
  received_.clear();
  return send_all(request.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n', fds);
}

Result<> Client::send_all(std::string_view text, std::span<const int> fds) {
  while (!text.empty()) {
    const auto count = os::send(socket_.get(), std::as_bytes(std::span(text)), fds);
    if (count) {
      fds = {};
      text.remove_prefix(*count);
      continue;
    }
    if (count.error().code != EAGAIN) return std::unexpected(count.error());
    UMDEV_TRY(poll_for(POLLOUT, {}));
  }
  return {};
}

Result<bool> Client::poll_for(short events, std::optional<Duration> limit) {
  pollfd descriptor{.fd = socket_.get(), .events = events, .revents = 0};
  timespec timeout{};
  if (limit) {
    timeout.tv_sec = std::chrono::floor<std::chrono::seconds>(*limit).count();
    timeout.tv_nsec = (*limit % std::chrono::seconds(1)).count();
  }
  const int count =
      os::retry_interrupted([&] { return ::ppoll(&descriptor, 1, limit ? &timeout : nullptr, nullptr); });
  if (count < 0) return os::fail_errno("ppoll failed");
  return count > 0;
}

Result<bool> Client::wait(std::optional<Duration> limit) {
  std::size_t searched = 0;
  while (input_.find('\n', searched) == std::string::npos) {
    searched = input_.size();
    if (!UMDEV_TRY(poll_for(POLLIN, limit))) return false;
    std::array<std::byte, 65536> bytes;
    os::FdBatch fds;
    const auto count = os::receive(socket_.get(), bytes, fds);
    if (!count && count.error().code == EAGAIN) continue;
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return fail(ECONNRESET, "the server closed the connection");
    for (std::size_t index = 0; index < fds.size(); ++index) received_.push_back(fds.take(index));
    input_.append(reinterpret_cast<const char*>(bytes.data()), *count);
  }
  return true;
}

Result<Answer> Client::finish() {
  UMDEV_TRY(wait());
  Answer answer = UMDEV_TRY(read_answer(take_line(), last_id_));
  answer.descriptors = std::exchange(received_, {});
  return answer;
}

// Precondition: there is one.
std::string Client::take_line() {
  const std::size_t newline = input_.find('\n');
  std::string line = input_.substr(0, newline);
  input_.erase(0, newline + 1);
  return line;
}

Result<std::optional<Notification>> Client::next_notification(std::optional<Duration> limit) {
  if (!UMDEV_TRY(wait(limit))) return std::nullopt;
  const Json json = Json::parse(take_line(), nullptr, /*allow_exceptions=*/false);
  std::string method = json.is_object() ? text_of(json, "method") : std::string();
  const auto parameters = json.is_object() ? json.find("params") : json.end();
  if (method.empty() || parameters == json.end()) return fail(EPROTO, "the message is no notification");
  return Notification{.method = std::move(method),
                      .parameters = parameters->dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Result<Answer> Client::call(std::string_view method, const CallParameters& parameters,
                            const CallParameters& json, std::span<const int> fds) {
  UMDEV_TRY(begin(method, parameters, json, fds));
  return finish();
}

}  // namespace umdev::control
