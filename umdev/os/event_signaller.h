// Signals an eventfd from inside the kernel, which never waits. See EventFd::adopt().
#pragma once

#include <cstdint>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

// One per thread (an asynchronous I/O context has a lock, and a thread its own has no company at it); holds
// nothing that another thread could see.
class EventSignaller {
 public:
  // The calling thread's, made at its first use.
  static EventSignaller& of_this_thread();

  EventSignaller();
  EventSignaller(const EventSignaller&) = delete;
  EventSignaller& operator=(const EventSignaller&) = delete;
  ~EventSignaller();

  // False when the kernel refused (no asynchronous I/O here, or too many contexts on this host).
  bool signal(int event_fd);

 private:
  // Enough that the completions, which nobody wants to see, are thrown away in one call for many signals.
  static constexpr unsigned capacity = 64;

  void discard_completions();

  unsigned long context_ = 0;  // aio_context_t
  UniqueFd always_ready_;
};

}  // namespace umdev::os
