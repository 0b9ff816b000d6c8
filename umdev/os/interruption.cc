#include "umdev/os/interruption.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/support/mutex.h"

namespace umdev::os {
namespace {

constexpr int interruption = SIGURG;  // ignored where nobody handles it

struct Handler {
  Mutex mutex;
  unsigned users UMDEV_GUARDED_BY(mutex) = 0;
  struct sigaction previous UMDEV_GUARDED_BY(mutex) = {};
};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a process has one handler of a signal
constinit Handler handler;

void do_nothing(int /*signal*/) {}

bool handles(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 ||
         (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

}  // namespace

Result<Interruption> Interruption::claim() {
  Lock lock(handler.mutex);
  struct sigaction now{};
  if (::sigaction(interruption, nullptr, &now) != 0)
    return fail_errno("cannot ask for the handler of SIGURG");
  // A child that was forked may have put its signals back.
  const bool is_installed = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == do_nothing;
  if (!is_installed) {
    if (handles(now)) return fail(EBUSY, "the process handles SIGURG itself");
    struct sigaction action{};
    action.sa_handler = do_nothing;
    action.sa_flags = SA_ONSTACK;  // and no SA_RESTART: the system call shall end
    sigemptyset(&action.sa_mask);
    if (::sigaction(interruption, &action, nullptr) != 0) return fail_errno("cannot handle SIGURG");
    handler.previous = now;
  }
  ++handler.users;
  return Interruption();
}

Interruption::Interruption(Interruption&& other) noexcept : is_ours_(std::exchange(other.is_ours_, false)) {}

Interruption::~Interruption() {
  if (!is_ours_) return;
  Lock lock(handler.mutex);
  if (--handler.users == 0) ::sigaction(interruption, &handler.previous, nullptr);
}

void Interruption::allow() {
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, interruption);
  ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
}

void Interruption::send(pthread_t thread) {
  ::pthread_kill(thread, interruption);
}

void Interruption::send_to(pid_t thread) {
  ::syscall(SYS_tgkill, ::getpid(), thread, interruption);
}

}  // namespace umdev::os
