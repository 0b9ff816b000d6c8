// Signals that ask the process to end, as something an EventLoop can wait for.
#pragma once

#include <csignal>
#include <initializer_list>
#include <optional>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

class SignalFd {
 public:
  // Blocks the signals for the calling thread, and so for all threads that it starts later, and catches them
  // in a descriptor. Made by main() before any thread runs: a thread that does not block a signal would get
  // it instead. EINVAL for a number that is no signal.
  static Result<SignalFd> create(std::initializer_list<int> signals);

  SignalFd(SignalFd&&) noexcept = default;
  SignalFd& operator=(SignalFd&&) = delete;
  // Unblocks what was not blocked before; what came meanwhile is delivered. On the thread that made it.
  ~SignalFd();

  // Readable (for an EventLoop) when a signal has come.
  int get() const { return fd_.get(); }

  // The number of the next signal that has come; nothing when none has. Never waits.
  std::optional<int> take() const;

 private:
  SignalFd(UniqueFd fd, const sigset_t& before) : fd_(std::move(fd)), before_(before) {}

  UniqueFd fd_;
  sigset_t before_;
};

}  // namespace umdev::os
