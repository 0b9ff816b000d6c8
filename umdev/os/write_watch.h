// Signals a client's eventfd by a plain write(), and interrupts that write() should it wait.
#pragma once

#include <cstdint>
#include <thread>
#include <utility>

#include "umdev/os/interruption.h"
#include "umdev/support/error.h"

namespace umdev::os {

// A write() to an eventfd is the cheapest signal there is, and waits for ever when the client has filled the
// counter and made it blocking (see EventFd::adopt). So every thread marks a word of its own before and after
// such a write(), and a thread of the watch's looks at the words every few milliseconds. Whoever stands in
// the same write() at two looks is interrupted (Interruption); the write() then ends with EINTR, and the
// caller knows what kind of client that is.
//
// What it costs: the writer two stores to memory that is its own (the barrier that they would need against
// the look is the watch's, by membarrier(2)); the process a thread that sleeps, without a tick, while there
// are few signals. Then add_one() does nothing and says so, but every 16th time it wakes the watch.
//
// What it asks of the process: that SIGURG is nobody else's, and that a system call which fails with EINTR is
// repeated. The signal may come when the write() has just ended and the thread is somewhere else. Only
// threads that have called add_one() get it; it is unblocked in them. After fork() without exec() the child
// has no watch and must not signal.
//
// There is one watch at a time; a program's main() starts it.
// Without one, everything works, and interrupts cost more.
class [[nodiscard]] WriteWatch {
 public:
  enum class Outcome : std::uint8_t {
    done,         // 1 was added, or the counter was full and O_NONBLOCK set
    interrupted,  // the write() waited, for two looks at most, and was interrupted; nothing was added
    unwatched,    // nobody looks: nothing was written
  };

  // EBUSY when there is a watch already or the process handles SIGURG; what membarrier(2) says where it is
  // not allowed; EAGAIN when there is no thread left.
  static Result<WriteWatch> start();

  WriteWatch(WriteWatch&&) noexcept = default;
  WriteWatch& operator=(WriteWatch&&) = delete;
  // Waits for the writes that are under way, interrupting them if need be. SIGURG is then as it was before.
  ~WriteWatch();

  // Any thread.
  static Outcome add_one(int event_fd);

  // Counters of the process: writes that were interrupted, and looks at the threads' words.
  static std::uint64_t count_interrupted();
  static std::uint64_t count_looks();

 private:
  WriteWatch(Interruption interruption, std::thread thread)
      : interruption_(std::move(interruption)), thread_(std::move(thread)) {}

  Interruption interruption_;
  std::thread thread_;
};

}  // namespace umdev::os
