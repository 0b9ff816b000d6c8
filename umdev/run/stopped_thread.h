// A thread of another program that stands still, and makes system calls for us.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <csignal>
#include <cstdint>

#include "umdev/support/error.h"

namespace umdev::run {

// For as long as it lives, the thread makes what calls we want; then it goes on, as if it came back from the
// call in which it was stopped. One thread of ours, always the same: the one that traces it. x86-64 only
// (ENOSYS elsewhere).
class StoppedThread {
 public:
  // Of a thread that waits for the answer to a system call, and that this thread of ours traces already, or
  // nobody does: EBUSY when somebody else does. It stops as soon as it has its answer; stop() waits for that.
  // In the end it is traced as before.
  static Result<StoppedThread> of(pid_t thread, bool is_traced);
  StoppedThread(StoppedThread&& other) noexcept;
  ~StoppedThread();

  // ESRCH: it died.
  Result<> stop();

  // After stop(). A system call in the thread's place; a negative result is its errno. Signals wait
  // meanwhile.
  Result<std::int64_t> call(long number, const std::array<std::uint64_t, 6>& arguments);

  // What the call in which it was stopped comes back with.
  Result<> set_result(std::int64_t value);

  // Its end has been seen here: nobody else who traces it will be told.
  bool has_died() const { return has_died_; }

 private:
  StoppedThread(pid_t thread, bool is_traced) : thread_(thread), is_traced_(is_traced) {}
  Result<> wait_for_stop(int wanted);
  Result<> run_to_call_boundary();

  pid_t thread_;
  bool is_traced_;
  bool stopped_ = false;
  bool has_died_ = false;
  user_regs_struct registers_{};
  std::uint64_t signals_ = 0;  // its mask
};

}  // namespace umdev::run
