#include "umdev/run/stopped_thread.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <utility>

#include "umdev/os/system_error.h"

namespace umdev::run {
namespace {

#if defined(__x86_64__)
constexpr bool is_supported = true;
#else
constexpr bool is_supported = false;
#endif

constexpr std::uint64_t syscall_instruction_size = 2;
// What PTRACE_O_TRACESYSGOOD tells stops at system calls by.
constexpr int call_stop = SIGTRAP | 0x80;
constexpr int event_stop = SIGTRAP | (PTRACE_EVENT_STOP << 8);

// ptrace() takes numbers as pointers.
void* as_pointer(std::uint64_t value) {
  return reinterpret_cast<void*>(value);  // NOLINT(performance-no-int-to-ptr)
}

Result<> check(long status) {
  if (status == -1) return os::fail_errno("the program's thread cannot be traced");
  return {};
}

}  // namespace

Result<StoppedThread> StoppedThread::of(pid_t thread, bool is_traced) {
  if (!is_supported) return fail(ENOSYS, "not written for this processor");
  if (!is_traced && ::ptrace(PTRACE_SEIZE, thread, nullptr, as_pointer(PTRACE_O_TRACESYSGOOD)) != 0)
    return fail(errno == EPERM ? EBUSY : errno, "the program's thread cannot be traced");
  StoppedThread stopped(thread, is_traced);
  UMDEV_TRY(check(::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr)));
  return stopped;
}

StoppedThread::StoppedThread(StoppedThread&& other) noexcept
    : thread_(std::exchange(other.thread_, 0)),
      is_traced_(other.is_traced_),
      stopped_(other.stopped_),
      has_died_(other.has_died_),
      registers_(other.registers_),
      signals_(other.signals_) {}

// A thread that has not stopped yet cannot be let go: that it never will, only its death can mean.
StoppedThread::~StoppedThread() {
  if (thread_ == 0) return;
  if (!stopped_ && !stop()) return;
  ::ptrace(PTRACE_SETSIGMASK, thread_, as_pointer(sizeof signals_), &signals_);
  ::ptrace(PTRACE_SETREGS, thread_, nullptr, &registers_);
  ::ptrace(is_traced_ ? PTRACE_CONT : PTRACE_DETACH, thread_, nullptr, nullptr);
}

// Lets other stops pass: a signal that came before the mask was set is delivered.
Result<> StoppedThread::wait_for_stop(int wanted) {
  for (;;) {
    int status = 0;
    if (os::retry_interrupted([&] { return ::waitpid(thread_, &status, __WALL); }) != thread_ ||
        !WIFSTOPPED(status)) {
      has_died_ = true;
      return fail(ESRCH, "the program's thread has died");
    }
    const int reason = status >> 8;
    if (reason == wanted) return {};
    const int signal = reason >> 8 == 0 && WSTOPSIG(status) != SIGTRAP ? WSTOPSIG(status) : 0;
    const auto resume = wanted == call_stop ? PTRACE_SYSCALL : PTRACE_CONT;
    UMDEV_TRY(check(::ptrace(resume, thread_, nullptr, as_pointer(static_cast<std::uint64_t>(signal)))));
  }
}

Result<> StoppedThread::stop() {
  UMDEV_TRY(wait_for_stop(event_stop));
  constexpr std::uint64_t all = ~std::uint64_t{0};
  UMDEV_TRY(check(::ptrace(PTRACE_GETSIGMASK, thread_, as_pointer(sizeof signals_), &signals_)));
  UMDEV_TRY(check(::ptrace(PTRACE_GETREGS, thread_, nullptr, &registers_)));
  UMDEV_TRY(check(::ptrace(PTRACE_SETSIGMASK, thread_, as_pointer(sizeof all), &all)));
  stopped_ = true;
  return {};
}

Result<> StoppedThread::run_to_call_boundary() {
  UMDEV_TRY(check(::ptrace(PTRACE_SYSCALL, thread_, nullptr, nullptr)));
  return wait_for_stop(call_stop);
}

Result<std::int64_t> StoppedThread::call(long number, const std::array<std::uint64_t, 6>& arguments) {
#if defined(__x86_64__)
  user_regs_struct changed = registers_;
  // It stands behind the instruction by which it called.
  changed.rip -= syscall_instruction_size;
  const long words = ::ptrace(PTRACE_PEEKTEXT, thread_, as_pointer(changed.rip), nullptr);
  if ((static_cast<std::uint64_t>(words) & 0xffffU) != 0x050fU)
    return fail(ENOSYS, "the program makes its system calls in another way");
  changed.rax = static_cast<std::uint64_t>(number);
  changed.orig_rax = ~std::uint64_t{0};
  changed.rdi = arguments[0];
  changed.rsi = arguments[1];
  changed.rdx = arguments[2];
  changed.r10 = arguments[3];
  changed.r8 = arguments[4];
  changed.r9 = arguments[5];
  UMDEV_TRY(check(::ptrace(PTRACE_SETREGS, thread_, nullptr, &changed)));
  UMDEV_TRY(run_to_call_boundary());
  UMDEV_TRY(run_to_call_boundary());
  UMDEV_TRY(check(::ptrace(PTRACE_GETREGS, thread_, nullptr, &changed)));
  return static_cast<std::int64_t>(changed.rax);
#else
  (void)number;
  (void)arguments;
  return fail(ENOSYS, "not written for this processor");
#endif
}

Result<> StoppedThread::set_result(std::int64_t value) {
#if defined(__x86_64__)
  registers_.rax = static_cast<std::uint64_t>(value);
#else
  (void)value;
#endif
  return {};
}

}  // namespace umdev::run
