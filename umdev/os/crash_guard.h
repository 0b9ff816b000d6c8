// Lets a call into code that was loaded end with an error where that code crashes, instead of with the
// process.
//
// What crashes is a function of the loaded code itself, or one of the C library that it calls and that holds
// nothing (memcpy() of a null pointer, strlen()): then the call is left at once, and its caller learns where
// and why. What the code held at that moment it holds for ever: its locks, its memory. So nothing of it may
// be called any more, and its caller has to see to that.
//
// A crash anywhere else, in a function of ours that the code has called or in the C library's allocator, may
// have left something of ours half done. Then a line on stderr says whose call it was, and the process ends
// as it would have without.
//
// SIGSEGV, SIGFPE and SIGILL (which __builtin_trap() raises) are seen; SIGBUS belongs to FaultGuard. A stack
// that is used up is not survived: the handler runs on the same one.
#pragma once

#include <cstdint>
#include <optional>

#include "umdev/support/error.h"

namespace umdev::os {

// The executable pages of what was loaded, and what to call it. Outlives every call into it.
struct GuardedCode {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  const char* name = "";
};

struct Crash {
  int signal = 0;
  std::uintptr_t address = 0;  // that could not be reached; of SIGFPE and SIGILL: the instruction
  std::uintptr_t instruction = 0;
};

class CrashGuard {
 public:
  // Takes the three signals; once per process, however often it is called. Any thread.
  static Result<> install();

  // Calls function(context), which is in the code or calls into it and nothing else; `request` says in whose
  // service, for the line on stderr. Nothing: it came back. Any thread; calls may be nested, and cost some
  // ten instructions. Nothing on the stack between may have a destructor, except what is the code's own.
  static std::optional<Crash> call(const GuardedCode& code, const char* request, void (*function)(void*),
                                   void* context);

  // Leaves the innermost call of this thread as if it had crashed (with signal 0), where it has to be given
  // up. Without one this does nothing.
  static void leave();

  // The calls under way on this thread, for whoever leaves a stack in the middle of a call and goes on with
  // it on another thread: they belong to the stack. Gives this thread others (null: none) and returns those
  // it had.
  struct Frame;
  static Frame* exchange(Frame* calls);
};

// "SIGSEGV", ...
const char* name_of_signal(int signal);

}  // namespace umdev::os
