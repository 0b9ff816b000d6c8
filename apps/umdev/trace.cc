// `umdev trace`: the messages between an instance and its client, decoded as they pass.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "apps/umdev/capture_file.h"
#include "apps/umdev/listening.h"
#include "umdev/vfio_user/message_text.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;
using vfio_user::command_name;

// Requests without an answer that are remembered for its time; a client has few.
constexpr std::size_t waiting_max = 65536;

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t at = 0; at + 2 <= text.size(); at += 2)
    bytes.push_back(static_cast<std::byte>(std::strtoul(text.substr(at, 2).c_str(), nullptr, 16)));
  return bytes;
}

// One message as the daemon told of it.
struct Traced {
  std::uint64_t time = 0;
  std::uint32_t session = 0;
  bool from_client = false;
  std::uint16_t descriptors = 0;
  std::uint32_t size = 0;
  std::vector<std::byte> bytes;
  abi::VfioUserHeader header{};
  std::optional<std::uint64_t> after;  // nanoseconds since what it answers

  ConstBytes payload() const { return ConstBytes(bytes).subspan(sizeof header); }
};

std::optional<Traced> parse(const Json& item) {
  const auto number = [&](const char* key) { return item.value(key, std::uint64_t{0}); };
  Traced traced{.time = number("time"),
                .session = static_cast<std::uint32_t>(number("session")),
                .from_client = item.value("from", std::string()) == "client",
                .descriptors = static_cast<std::uint16_t>(number("descriptors")),
                .size = static_cast<std::uint32_t>(number("size")),
                .bytes = from_hex(item.value("data", std::string())),
                .after = std::nullopt};
  const auto header = load_struct<abi::VfioUserHeader>(traced.bytes);
  if (!header) return std::nullopt;
  traced.header = *header;
  return traced;
}

std::string time_of(std::uint64_t nanoseconds) {
  constexpr std::uint64_t second = 1'000'000'000;
  return fmt::format("{:%H:%M:%S}.{:06}", fmt::localtime(static_cast<std::time_t>(nanoseconds / second)),
                     nanoseconds % second / 1000);
}

std::string to_line(const Traced& traced) {
  std::string notes;
  if (traced.descriptors > 0)
    notes += fmt::format("  [{} descriptor{}]", traced.descriptors, traced.descriptors > 1 ? "s" : "");
  if (traced.after) notes += fmt::format("  ({:.1f} us)", static_cast<double>(*traced.after) / 1000.0);
  return fmt::format("{}  {:>3}  {}  {:>5}  {:<18}  {}{}\n", time_of(traced.time), traced.session,
                     traced.from_client ? "->" : "<-", traced.header.message_id,
                     command_name(traced.header.command),
                     vfio_user::describe_message(traced.header, traced.payload()), notes);
}

std::string to_json(const Traced& traced, const Json& item) {
  Json json = item;
  json["id"] = traced.header.message_id;
  json["command"] = command_name(traced.header.command);
  json["reply"] = vfio_user::is_reply(traced.header);
  if (vfio_user::is_reply(traced.header) && traced.header.error != 0) json["errno"] = traced.header.error;
  if (traced.after) json["after"] = *traced.after;
  json["text"] = vfio_user::describe_message(traced.header, traced.payload());
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

class Tracer final : public Listening {
 public:
  using Listening::Listening;

  Outcome<> run() {
    if (!options().file.empty()) {
      auto capture = CaptureFile::create(options().file);
      if (!capture) return refuse(capture.error());
      capture_.emplace(std::move(*capture));
    }
    const auto end = listen("trace", {{"uuid", options().uuid}});
    if (!end) return std::unexpected(end.error());
    return {};
  }

 private:
  bool prints() const { return options().file != "-"; }

  // ^Listening
  Outcome<> begun() override {
    if (prints())
      print(options().json ? Json{{"event", "tracing"}}.dump() + "\n"
                           : fmt::format("{:<15}  {:>3}  {:<2}  {:>5}  {:<18}  {}\n", "TIME", "SES", "", "ID",
                                         "COMMAND", "WHAT"));
    return capture_ ? note(capture_->begin()) : Outcome<>();
  }

  // ^Listening
  Outcome<> heard(const std::string& text) override {
    const Json item = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!item.is_object()) return {};
    if (item.value("event", std::string()) == "lost") {
      const std::string count = item.value("count", Json()).dump();
      if (prints()) print(options().json ? text + "\n" : count + " messages are missing here\n");
      return {};
    }
    auto traced = parse(item);
    if (!traced) return {};
    note_time(*traced);
    if (prints()) print(options().json ? to_json(*traced, item) : to_line(*traced));
    if (options().count && ++heard_ >= *options().count) end();
    return capture(*traced);
  }

  // How long an answer took. Numbers of messages may repeat: the last one counts.
  void note_time(Traced& traced) {
    const bool is_answer = vfio_user::is_reply(traced.header);
    const auto key = std::tuple(traced.session, traced.from_client != is_answer, traced.header.message_id,
                                traced.header.command);
    if (!is_answer) {
      if (vfio_user::wants_reply(traced.header) && asked_.size() < waiting_max) asked_[key] = traced.time;
      return;
    }
    const auto node = asked_.extract(key);
    if (node && traced.time >= node.mapped()) traced.after = traced.time - node.mapped();
  }

  Outcome<> capture(const Traced& traced) {
    if (!capture_) return {};
    return note(capture_->add({.time = traced.time,
                               .session = traced.session,
                               .from_client = traced.from_client,
                               .descriptors = traced.descriptors,
                               .size = traced.size,
                               .bytes = traced.bytes}));
  }

  // Who reads the capture from a pipe may leave.
  Outcome<> note(const Result<>& written) {
    if (written) return {};
    if (written.error().code != EPIPE) return refuse(written.error());
    end();
    return {};
  }

  std::optional<CaptureFile> capture_;
  // When each command that waits for its answer came: by session, by whether the client sent it, by number
  // and command.
  std::map<std::tuple<std::uint32_t, bool, std::uint16_t, std::uint16_t>, std::uint64_t> asked_;
  std::uint64_t heard_ = 0;
};

}  // namespace

Outcome<> trace(const Options& given) {
  return run_listening<Tracer>(given);
}

}  // namespace umdev::cli
