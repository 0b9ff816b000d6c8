#include "umdev/os/crash_guard.h"

#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/support/mutex.h"

namespace umdev::os {

// One call under way.
struct CrashGuard::Frame {
  sigjmp_buf back;
  const GuardedCode* code;
  const char* request;
  Frame* outer;
  Crash crash;
};

namespace {

using Frame = CrashGuard::Frame;

// Of this program, not of a library: the handler reads it without allocating.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a handler is passed nothing
[[gnu::tls_model("initial-exec")]] thread_local Frame* innermost = nullptr;

// A call may come back on another thread, so nothing about this one may be remembered over it: neither is
// inlined.
[[gnu::noinline]] Frame* exchange_innermost(Frame* frame) {
  asm volatile("" ::: "memory");
  return std::exchange(innermost, frame);
}

constexpr std::array<int, 3> guarded_signals{SIGSEGV, SIGFPE, SIGILL};

struct Handlers {
  Mutex mutex;
  bool installed UMDEV_GUARDED_BY(mutex) = false;
  std::array<struct sigaction, guarded_signals.size()> previous{};  // written before the handler is installed
};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): so are a process's handlers
constinit Handlers handlers;

// From here on: inside the signal handler. No lock, no allocation.

struct Place {
  std::uintptr_t instruction = 0;
  std::uintptr_t returns_to =
      0;  // of a function that has not pushed anything, as the C library's copying ones
};

Place place_of(const ucontext_t& context) {
#if defined(__x86_64__)
  const auto& registers = context.uc_mcontext.gregs;
  const auto stack = static_cast<std::uintptr_t>(registers[REG_RSP]);
  Place place{.instruction = static_cast<std::uintptr_t>(registers[REG_RIP])};
  if (stack != 0 && stack % sizeof(std::uintptr_t) == 0)
    // NOLINTNEXTLINE(performance-no-int-to-ptr): what a register holds
    place.returns_to = *reinterpret_cast<const std::uintptr_t*>(stack);
  return place;
#elif defined(__aarch64__)
  return {.instruction = context.uc_mcontext.pc, .returns_to = context.uc_mcontext.regs[30]};
#else
  static_cast<void>(context);
  return {};
#endif
}

bool is_in(const GuardedCode& code, std::uintptr_t address) {
  return address >= code.begin && address < code.end;
}

void say(const char* text) {
  static_cast<void>(!::write(STDERR_FILENO, text, std::strlen(text)));
}

void report(const Frame& frame, int signal) {
  for (const char* piece : {"module ", frame.code->name, ": ", name_of_signal(signal),
                            " in what it called, while ", frame.request, "; the process cannot go on\n"})
    say(piece);
}

void pass_on(int signal, siginfo_t* info, void* context) {
  std::size_t index = 0;
  while (guarded_signals[index] != signal) ++index;
  const struct sigaction& previous = handlers.previous[index];
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  // The default ends the process: by the access, which is repeated, or by the signal, sent again.
  ::signal(signal, SIG_DFL);
  if (info->si_code <= 0) ::raise(signal);
}

void handle(int signal, siginfo_t* info, void* raw_context) {
  Frame* frame = innermost;
  const bool was_sent = info->si_code <= 0;
  if (frame == nullptr || was_sent) return pass_on(signal, info, raw_context);
  const Place place = place_of(*static_cast<const ucontext_t*>(raw_context));
  // A call through a bad pointer has no instruction of anybody's: who called is in the return address too.
  if (!is_in(*frame->code, place.instruction) && !is_in(*frame->code, place.returns_to)) {
    innermost = nullptr;  // one report
    report(*frame, signal);
    return pass_on(signal, info, raw_context);
  }
  frame->crash = {.signal = signal,
                  .address = reinterpret_cast<std::uintptr_t>(info->si_addr),
                  .instruction = place.instruction};
  siglongjmp(frame->back, 1);
}

}  // namespace

Result<> CrashGuard::install() {
  Lock lock(handlers.mutex);
  if (handlers.installed) return {};
  struct sigaction action{};
  action.sa_sigaction = handle;
  // Not blocked meanwhile: a call is left without setting the mask back, which spares a system call each
  // time.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (std::size_t index = 0; index < guarded_signals.size(); ++index)
    if (::sigaction(guarded_signals[index], nullptr, &handlers.previous[index]) != 0)
      return fail_errno("cannot ask for the handler");
  for (const int signal : guarded_signals)
    if (::sigaction(signal, &action, nullptr) != 0) return fail_errno("cannot install the handler");
  handlers.installed = true;
  return {};
}

std::optional<Crash> CrashGuard::call(const GuardedCode& code, const char* request, void (*function)(void*),
                                      void* context) {
  Frame frame;
  frame.code = &code;
  frame.request = request;
  if (sigsetjmp(frame.back, 0) != 0) {
    exchange_innermost(frame.outer);
    return frame.crash;
  }
  frame.outer = exchange_innermost(&frame);
  function(context);
  exchange_innermost(frame.outer);
  return std::nullopt;
}

void CrashGuard::leave() {
  Frame* frame = innermost;
  if (frame == nullptr) return;
  frame->crash = {};
  siglongjmp(frame->back, 1);
}

CrashGuard::Frame* CrashGuard::exchange(Frame* calls) {
  return exchange_innermost(calls);
}

const char* name_of_signal(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    default:
      return "a signal";
  }
}

}  // namespace umdev::os
