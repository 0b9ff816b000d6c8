// `umdev watch`: what happens, as it happens.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/umdev/commands.h"
#include "umdev/os/signal_fd.h"
#include "umdev/os/system_error.h"
#include "umdev/os/uevent_socket.h"
#include "umdev/support/uuid.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

// What is put together before it is written, and signals are looked at.
constexpr std::size_t output_max = 65536;

// Why it stops.
enum class End : std::uint8_t { none, found, signal, reader_gone, time_out };

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

class Watcher {
 public:
  Watcher(const Options& options, os::SignalFd signals) : options_(options), signals_(std::move(signals)) {}

  Outcome<> run() {
    auto remote = Remote::connect(options_.runtime_directory);
    if (!remote) return std::unexpected(remote.error());
    if (options_.uevents) {
      auto socket = options_.network_namespace.empty()
                        ? os::UeventSocket::create()
                        : os::UeventSocket::create_in(options_.network_namespace);
      if (!socket) return refuse(socket.error());
      if (auto may = socket->check(); !may) return refuse(may.error());
      uevents_.emplace(std::move(*socket));
    }
    if (options_.timeout) deadline_ = steady_clock::now() + std::chrono::duration<double>(*options_.timeout);
    if (auto begun = remote->call("watch"); !begun) return std::unexpected(begun.error());
    say_ready();
    for (;;) {
      const auto taken = take_events(*remote);
      if (auto written = write_out(); !written) return written;
      if (!taken) return taken;
      if (end_ == End::none) wait(remote->socket(), !all_taken_);
      if (end_ != End::none) return finish();
    }
  }

 private:
  static std::unexpected<Failure> refuse(const Error& error) {
    return std::unexpected(Failure{.text = fmt::format("{} ({})", error.text, errno_name(error.code))});
  }

  // From here on nothing is missed.
  void say_ready() {
    output_ = options_.json ? Json{{"event", "watching"}}.dump() + "\n"
                            : fmt::format("{:<12}  {:<8}  {:<9}  {}\n", "TIME", "EVENT", "KIND", "WHAT");
  }

  // What was put together since the last time.
  Outcome<> write_out() {
    std::fwrite(output_.data(), 1, output_.size(), stdout);
    output_.clear();
    if (std::fflush(stdout) == 0) return {};
    if (errno != EPIPE) return std::unexpected(Failure{.text = "the output cannot be written"});
    end_ = End::reader_gone;
    return {};
  }

  Outcome<> take_events(Remote& remote) {
    while (end_ == End::none && output_.size() < output_max) {
      auto next = remote.next_notification(Duration::zero());
      if (!next) return std::unexpected(next.error());
      all_taken_ = !*next;
      if (all_taken_) return {};
      const Json event = Json::parse((*next)->parameters, nullptr, /*allow_exceptions=*/false);
      if (!event.is_object() || (*next)->method != "event") continue;
      if (auto handled = handle(event); !handled) return handled;
    }
    return {};
  }

  Outcome<> handle(const Json& event) {
    const std::string name = text_of(event, "event");
    const bool lost = name == "lost";
    if (!lost && !options_.uuid.empty() && text_of(event, "uuid") != options_.uuid) return {};
    if (uevents_ && event.contains("devpath")) {
      const auto sent = uevents_->inject(name, text_of(event, "devpath"), environment_of(event));
      if (!sent) return refuse(sent.error());
    }
    if (uevents_ && lost)
      fmt::print(stderr, "umdev: events were lost; `udevadm trigger` makes udev look again\n");
    output_ += options_.json ? event.dump() : describe(name, event);
    output_ += '\n';
    if (name == options_.until && is_awaited(event)) end_ = End::found;
    return {};
  }

  // What is about a part of the instance (its vfio-dev device) is not yet about the instance.
  bool is_awaited(const Json& event) const {
    return options_.uuid.empty() || !event.contains("devpath") ||
           text_of(event, "devpath").ends_with("/" + options_.uuid);
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

  // Until something has come, a signal, the end of the time, or of whoever reads what is printed.
  void wait(int socket, bool only_look) {
    std::array<pollfd, 3> descriptors{
        pollfd{.fd = socket, .events = POLLIN, .revents = 0},
        pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = STDOUT_FILENO, .events = 0, .revents = 0}};  // POLLERR comes unasked
    int milliseconds = only_look ? 0 : -1;
    if (deadline_ && !only_look) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - steady_clock::now());
      milliseconds = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    }
    const int ready =
        os::retry_interrupted([&] { return ::poll(descriptors.data(), descriptors.size(), milliseconds); });
    if ((descriptors[1].revents & POLLIN) != 0 && signals_.take())
      end_ = End::signal;
    else if ((descriptors[2].revents & (POLLERR | POLLHUP)) != 0)
      end_ = End::reader_gone;
    else if (!only_look && ready == 0 && deadline_ && steady_clock::now() >= *deadline_)
      end_ = End::time_out;
  }

  Outcome<> finish() const {
    if (options_.until.empty() || end_ == End::found || end_ == End::reader_gone) return {};
    return std::unexpected(
        Failure{.text = fmt::format("no \"{}\" has come{}", options_.until,
                                    options_.uuid.empty() ? "" : fmt::format(" for {}", options_.uuid))});
  }

  const Options& options_;
  const os::SignalFd signals_;
  std::optional<os::UeventSocket> uevents_;
  std::optional<std::chrono::time_point<steady_clock, std::chrono::duration<double>>> deadline_;
  std::string output_;
  bool all_taken_ = false;
  End end_ = End::none;
};

}  // namespace

Outcome<> watch(const Options& given) {
  Options options = given;
  if (!options.uuid.empty()) {
    const auto uuid = Uuid::parse(options.uuid);
    if (!uuid) return std::unexpected(Failure{.status = exit_usage, .text = "UUID: not a UUID"});
    options.uuid = uuid->to_string();
  }
  auto signals = os::SignalFd::create({SIGINT, SIGTERM});
  if (!signals) return std::unexpected(Failure{.text = std::string(signals.error().text)});
  return Watcher(options, std::move(*signals)).run();
}

}  // namespace umdev::cli
