// Waiting and waking: what mutexes, completions and wait queues of the headers are made of.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <ctime>

#include "umdev/kernel/calls.h"
#include "umdev/kernel/kernel_thread.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"

namespace umdev::kernel {
namespace {

// A lock is held for moments, as a rule: to look again for that long costs less than to move to another
// thread.
constexpr int looks = 200;

constexpr std::chrono::milliseconds stopping_look{10};

bool has_changed(const int* word, int expected) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE) != expected;
}

timespec to_timespec(std::chrono::nanoseconds time) {
  return {.tv_sec = static_cast<time_t>(time.count() / 1'000'000'000),
          .tv_nsec = static_cast<long>(time.count() % 1'000'000'000)};
}

// Until it is woken, or the time has passed: then false.
bool sleep_on(const int* word, int expected, std::chrono::nanoseconds most) {
  const timespec limit = to_timespec(most);
  return ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, nullptr, 0) == 0 ||
         errno != ETIMEDOUT;
}

// A thread of the module, which kthread_stop() wakes once wherever it sleeps. When it has been told, it looks
// at its condition again and again, for there is nothing else that it might wait for.
bool sleep_as_thread(KernelThread& thread, const int* word, int expected, std::chrono::nanoseconds most) {
  const KernelThread::Asleep asleep(thread, word);
  if (!thread.should_stop()) return sleep_on(word, expected, most);
  static_cast<void>(sleep_on(word, expected, std::min<std::chrono::nanoseconds>(most, stopping_look)));
  return true;
}

}  // namespace

void leave_after_crash() {
  const Call* const call = current_call();
  if (call != nullptr && call->module->has_crashed()) os::CrashGuard::leave();
}

bool wait(const int* word, int expected, umdev_u64 nanoseconds) {
  for (int look = 0; look < looks; ++look) {
    if (has_changed(word, expected)) return true;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  Calls::about_to_wait();
  const Call* const call = current_call();
  KernelThread* const thread = call == nullptr ? nullptr : call->thread;
  const std::chrono::nanoseconds most =
      nanoseconds == 0 ? std::chrono::nanoseconds(crash_watch) : std::chrono::nanoseconds(nanoseconds);
  while (true) {
    const bool woken =
        thread != nullptr ? sleep_as_thread(*thread, word, expected, most) : sleep_on(word, expected, most);
    if (woken) return true;
    leave_after_crash();
    if (nanoseconds != 0) return false;
  }
}

void wake(const int* word, bool all) {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1, nullptr, nullptr, 0);
}

void pass_time(umdev_u64 nanoseconds) {
  Calls::about_to_wait();
  timespec left = to_timespec(std::chrono::nanoseconds(nanoseconds));
  // house-rules: allow sleep: a driver's msleep(), on a thread that may
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace umdev::kernel
