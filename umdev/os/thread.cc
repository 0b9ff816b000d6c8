#include "umdev/os/thread.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "umdev/support/assert.h"

namespace umdev::os {
namespace {

// Blocks the signals of other people for a while. What the thread's own instructions raise stays open, above
// all SIGBUS: a blocked one would end the process instead of reaching FaultGuard.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int own : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGPROF})
      sigdelset(&blocked, own);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Result<std::thread> start_thread(const char* name, Work body) {
  std::array<char, 16> short_name{};
  std::snprintf(short_name.data(), short_name.size(), "%s", name);
  const BlockedSignals blocked;  // the new thread inherits the mask
  try {
    std::thread thread([short_name, work = std::move(body)]() mutable {
      ::pthread_setname_np(::pthread_self(), short_name.data());
      work();
    });
    return thread;
  } catch (const std::system_error&) {  // the only way in which std::thread says so
    return fail(EAGAIN, "the system has no thread left");
  }
}

// On Linux a priority is a thread's own, and 0 is the calling one.
bool prefer_this_thread() {
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  if (nice == -1 && errno != 0) return false;
  return ::setpriority(PRIO_PROCESS, 0, nice - 1) == 0;
}

void let_others_run(unsigned times) {
  constexpr unsigned among_equals = 64;
  if (times < among_equals) {
    std::this_thread::yield();
    return;
  }
  const timespec moment{.tv_sec = 0, .tv_nsec = 100'000};
  ::nanosleep(&moment, nullptr);
}

void fence_other_threads() {
  const auto fenced = ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  UMDEV_ASSERT(fenced == 0, "membarrier() was allowed, and is no more");
}

bool can_fence_other_threads() {
  static const bool can = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return can;
}

}  // namespace umdev::os
