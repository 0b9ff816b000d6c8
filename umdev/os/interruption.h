// Gets a thread of ours out of a system call in which it waits.
#pragma once

#include <pthread.h>

#include "umdev/support/error.h"

namespace umdev::os {

// A signal (SIGURG, which can never end a process) whose handler does nothing: the system call that it meets
// ends with EINTR. Whoever sends it cannot know whether the thread is in that call yet or still, so it is
// sent until it has been heard, and a call of ours that fails with EINTR for no reason is repeated.
//
// A process has one handler of a signal: it is installed as long as somebody has an Interruption, and then
// as it was before. Any thread.
class [[nodiscard]] Interruption {
 public:
  // EBUSY: the process handles SIGURG itself.
  static Result<Interruption> claim();

  Interruption(Interruption&& other) noexcept;
  Interruption& operator=(Interruption&&) = delete;
  ~Interruption();

  // For the calling thread; threads of start_thread() are not interrupted without it.
  static void allow();
  // `thread` has not been joined.
  static void send(pthread_t thread);
  // The same by its number; nothing when it has ended.
  static void send_to(pid_t thread);

 private:
  Interruption() = default;

  bool is_ours_ = true;
};

}  // namespace umdev::os
