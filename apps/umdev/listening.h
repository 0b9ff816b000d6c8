// A command that is told what happens, prints it, and ends when it has heard enough, is signalled, or nobody
// reads its output any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apps/umdev/commands.h"
#include "umdev/os/signal_fd.h"

namespace umdev::cli {

class Listening {
 public:
  // Why it stops.
  enum class End : std::uint8_t { none, heard_enough, signal, reader_gone, time_out };

  // `what` was refused.
  static std::unexpected<Failure> refuse(const Error& error);

  Listening(const Options& options, os::SignalFd signals) : options_(options), signals_(std::move(signals)) {}
  virtual ~Listening() = default;

 protected:
  // Calls `method` and hands on what comes, until the end. Options::timeout is counted from here.
  Outcome<End> listen(std::string_view method, const control::CallParameters& parameters);

  // It listens now, and nothing is missed: the place for a heading.
  virtual Outcome<> begun() { return {}; }
  // The parameters of one notification, a JSON object as text.
  virtual Outcome<> heard(const std::string& item) = 0;

  void print(std::string_view text) { output_ += text; }
  void end() { end_ = End::heard_enough; }
  const Options& options() const { return options_; }

 private:
  Outcome<> write_out();
  Outcome<> take_items(Remote& remote);
  void wait(int socket, bool only_look);

  const Options& options_;
  const os::SignalFd signals_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::string output_;
  bool all_taken_ = false;
  End end_ = End::none;
};

// What `options` say, with the UUID as the daemon writes it (empty stays empty).
Outcome<Options> with_parsed_uuid(const Options& options);

// SIGINT and SIGTERM end it in good order.
Outcome<os::SignalFd> ending_signals();

// A whole command: a `Command` is a Listening with a run().
template <typename Command>
Outcome<> run_listening(const Options& given) {
  const auto options = with_parsed_uuid(given);
  if (!options) return std::unexpected(options.error());
  auto signals = ending_signals();
  if (!signals) return std::unexpected(signals.error());
  return Command(*options, std::move(*signals)).run();
}

}  // namespace umdev::cli
