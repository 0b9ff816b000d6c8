// Waiting and waking: what mutexes, completions and wait queues of the headers are made of.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

#include "umdev/kernel/calls.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"

namespace umdev::kernel {
namespace {

// A lock is held for moments, as a rule: to look again for that long costs less than to move to another
// thread.
constexpr int looks = 200;

// How long a call waits at most for what a call that has crashed holds.
constexpr timespec crash_watch{.tv_sec = 1, .tv_nsec = 0};

// Whoever would have woken this call may have crashed; then it never comes back.
void leave_after_crash() {
  const Call* const call = current_call();
  if (call != nullptr && call->module->has_crashed()) os::CrashGuard::leave();
}

bool has_changed(const int* word, int expected) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE) != expected;
}

}  // namespace

bool wait(const int* word, int expected, umdev_u64 nanoseconds) {
  for (int look = 0; look < looks; ++look) {
    if (has_changed(word, expected)) return true;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  Calls::about_to_wait();
  const timespec limit{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                       .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
  while (true) {
    const long answer = ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                                  nanoseconds == 0 ? &crash_watch : &limit, nullptr, 0);
    if (answer == 0 || errno != ETIMEDOUT) return true;
    leave_after_crash();
    if (nanoseconds != 0) return false;
  }
}

void wake(const int* word, bool all) {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1, nullptr, nullptr, 0);
}

void pass_time(umdev_u64 nanoseconds) {
  Calls::about_to_wait();
  timespec left{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
  // house-rules: allow sleep: a driver's msleep(), on a thread that may
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace umdev::kernel
