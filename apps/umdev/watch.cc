// `umdev watch`: what happens, as it happens.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/umdev/listening.h"
#include "umdev/os/uevent_socket.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> environment_of(const Json& event) {
  std::vector<std::string> environment;
  const auto found = event.find("environment");
  if (found == event.end() || !found->is_array()) return environment;
  for (const Json& entry : *found)
    if (entry.is_string()) environment.push_back(entry.get<std::string>());
  return environment;
}

// What the event adds to the keys that each has.
std::string other_keys(const Json& event) {
  std::string text;
  for (const std::string& entry : environment_of(event)) {
    const std::string_view key = std::string_view(entry).substr(0, entry.find('='));
    if (key != "ACTION" && key != "DEVPATH" && key != "SUBSYSTEM" && key != "SEQNUM") text += " " + entry;
  }
  return text;
}

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()) % 1000;
  return fmt::format("{:%H:%M:%S}.{:03}", fmt::localtime(std::chrono::system_clock::to_time_t(time)),
                     milliseconds.count());
}

class Watcher final : public Listening {
 public:
  using Listening::Listening;

  Outcome<> run() {
    if (options().uevents) {
      auto socket = options().network_namespace.empty()
                        ? os::UeventSocket::create()
                        : os::UeventSocket::create_in(options().network_namespace);
      if (!socket) return refuse(socket.error());
      if (auto may = socket->check(); !may) return refuse(may.error());
      uevents_.emplace(std::move(*socket));
    }
    const auto end = listen("watch", {});
    if (!end) return std::unexpected(end.error());
    if (options().until.empty() || *end == End::heard_enough || *end == End::reader_gone) return {};
    return std::unexpected(
        Failure{.text = fmt::format("no \"{}\" has come{}", options().until,
                                    options().uuid.empty() ? "" : fmt::format(" for {}", options().uuid))});
  }

 private:
  // ^Listening
  Outcome<> begun() override {
    print(options().json ? Json{{"event", "watching"}}.dump() + "\n"
                         : fmt::format("{:<12}  {:<8}  {:<9}  {}\n", "TIME", "EVENT", "KIND", "WHAT"));
    return {};
  }

  // ^Listening
  Outcome<> heard(const std::string& item) override {
    const Json event = Json::parse(item, nullptr, /*allow_exceptions=*/false);
    if (!event.is_object()) return {};
    const std::string name = text_of(event, "event");
    const bool lost = name == "lost";
    if (!lost && !options().uuid.empty() && text_of(event, "uuid") != options().uuid) return {};
    if (uevents_ && event.contains("devpath")) {
      const auto sent = uevents_->inject(name, text_of(event, "devpath"), environment_of(event));
      if (!sent) return refuse(sent.error());
    }
    if (uevents_ && lost)
      fmt::print(stderr, "umdev: events were lost; `udevadm trigger` makes udev look again\n");
    print(options().json ? event.dump() : describe(name, event));
    print("\n");
    if (name == options().until && is_awaited(event)) end();
    return {};
  }

  // What is about a part of the instance (its vfio-dev device) is not yet about the instance.
  bool is_awaited(const Json& event) const {
    return options().uuid.empty() || !event.contains("devpath") ||
           text_of(event, "devpath").ends_with("/" + options().uuid);
  }

  static std::string describe(const std::string& name, const Json& event) {
    const auto line = [&](std::string_view kind, const std::string& what) {
      return fmt::format("{}  {:<8}  {:<9}  {}", now(), name, kind, what);
    };
    if (name == "lost")
      return line("", fmt::format("{} events are missing here", event.value("count", Json()).dump()));
    if (event.contains("devpath"))
      return line(text_of(event, "subsystem"), text_of(event, "devpath") + other_keys(event));
    return line("", fmt::format("{} {} {}", text_of(event, "uuid"), text_of(event, "parent"),
                                text_of(event, "type")));
  }

  std::optional<os::UeventSocket> uevents_;
};

}  // namespace

Outcome<> watch(const Options& given) {
  return run_listening<Watcher>(given);
}

}  // namespace umdev::cli
