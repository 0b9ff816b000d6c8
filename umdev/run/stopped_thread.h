// A thread of another program that stands still, and makes system calls for us.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <csignal>
#include <cstdint>

#include "umdev/support/error.h"

namespace umdev::run {

// Traces the thread for as long as it lives; then the thread goes on, as if it came back from the call in
// which it was stopped. One thread of ours, always the same. x86-64 only (ENOSYS elsewhere).
class StoppedThread {
 public:
  // Of a thread that waits for the answer to a system call: EBUSY when somebody traces it already. It stops
  // as soon as it has its answer; stop() waits for that.
  static Result<StoppedThread> seize(pid_t thread);
  StoppedThread(StoppedThread&& other) noexcept;
  ~StoppedThread();

  // ESRCH: it died.
  Result<> stop();

  // After stop(). A system call in the thread's place; a negative result is its errno. Signals wait
  // meanwhile.
  Result<std::int64_t> call(long number, const std::array<std::uint64_t, 6>& arguments);

  // What the call in which it was stopped comes back with.
  Result<> set_result(std::int64_t value);

 private:
  explicit StoppedThread(pid_t thread) : thread_(thread) {}
  Result<> wait_for_stop(int wanted) const;
  Result<> run_to_call_boundary() const;

  pid_t thread_;
  bool stopped_ = false;
  user_regs_struct registers_{};
  std::uint64_t signals_ = 0;  // its mask
};

}  // namespace umdev::run
