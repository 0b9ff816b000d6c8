#include "apps/umdev/listening.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "umdev/os/system_error.h"
#include "umdev/support/uuid.h"

namespace umdev::cli {
namespace {

using std::chrono::steady_clock;

// What is put together before it is written, and signals are looked at.
constexpr std::size_t output_max = 65536;

}  // namespace

std::unexpected<Failure> Listening::refuse(const Error& error) {
  return std::unexpected(Failure{.text = fmt::format("{} ({})", error.text, errno_name(error.code))});
}

Outcome<Listening::End> Listening::listen(std::string_view method,
                                          const control::CallParameters& parameters) {
  auto remote = Remote::connect(options_.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  if (options_.timeout)
    deadline_ = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                          std::chrono::duration<double>(*options_.timeout));
  if (auto answer = remote->call(method, parameters); !answer) return std::unexpected(answer.error());
  if (auto ready = begun(); !ready) return std::unexpected(ready.error());
  for (;;) {
    const auto taken = take_items(*remote);
    if (auto written = write_out(); !written) return std::unexpected(written.error());
    if (!taken) return std::unexpected(taken.error());
    if (end_ == End::none) wait(remote->socket(), !all_taken_);
    if (end_ != End::none) return end_;
  }
}

// What was put together since the last time.
Outcome<> Listening::write_out() {
  std::fwrite(output_.data(), 1, output_.size(), stdout);
  output_.clear();
  if (std::fflush(stdout) == 0) return {};
  if (errno != EPIPE) return std::unexpected(Failure{.text = "the output cannot be written"});
  end_ = End::reader_gone;
  return {};
}

Outcome<> Listening::take_items(Remote& remote) {
  while (end_ == End::none && output_.size() < output_max) {
    auto next = remote.next_notification(Duration::zero());
    if (!next) return std::unexpected(next.error());
    all_taken_ = !*next;
    if (all_taken_) return {};
    if ((*next)->method != "event") continue;
    if (auto handled = heard((*next)->parameters); !handled) return handled;
  }
  return {};
}

// Until something has come, a signal, the end of the time, or of whoever reads what is printed.
void Listening::wait(int socket, bool only_look) {
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

Outcome<os::SignalFd> ending_signals() {
  auto signals = os::SignalFd::create({SIGINT, SIGTERM});
  if (!signals) return std::unexpected(Failure{.text = std::string(signals.error().text)});
  return std::move(*signals);
}

Outcome<Options> with_parsed_uuid(const Options& options) {
  Options parsed = options;
  if (options.uuid.empty()) return parsed;
  const auto uuid = Uuid::parse(options.uuid);
  if (!uuid) return std::unexpected(Failure{.status = exit_usage, .text = "UUID: not a UUID"});
  parsed.uuid = uuid->to_string();
  return parsed;
}

}  // namespace umdev::cli
