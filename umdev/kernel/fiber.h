// A stack to call a module on, which can be left in the middle of the call and gone on with on another
// thread.
//
// Why: a driver written for the kernel may sleep wherever it likes, and a thread that serves clients may not.
// Handing every call to another thread would cost more than the call. So a call begins on the serving thread,
// on a stack of its own; where the driver has to wait (and only our services can make it wait) the serving
// thread leaves that stack and goes on serving, and a thread that may sleep continues there.
//
// Threads: a fiber runs on one thread at a time. What is thread_local must not be remembered over suspend().
#pragma once

#include <cstddef>
#include <memory>

#include "umdev/os/crash_guard.h"
#include "umdev/support/error.h"

namespace umdev::kernel {

class Fiber {
 public:
  // What runs on the stack.
  class Body {
   public:
    virtual ~Body() = default;
    virtual void run() = 0;
  };

  // ENOMEM, EAGAIN: the system has no memory or mapping left.
  static Result<std::unique_ptr<Fiber>> create();
  // It must not be in the middle of a run.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs `body` from its start until it ends (true) or suspends (false).
  bool start(Body& body);
  // After a suspend: goes on, on this thread. As start().
  bool resume();
  // On the fiber: back to whoever started or resumed it.
  void suspend();

 private:
  Fiber() = default;
  static void enter();
  [[noreturn]] void run();
  void switch_to_fiber();
  void switch_to_carrier();

  std::byte* memory_ = nullptr;
  std::byte* stack_ = nullptr;
  std::size_t stack_size_ = 0;
  void* fiber_stack_pointer_ = nullptr;
  void* carrier_stack_pointer_ = nullptr;
  Body* body_ = nullptr;
  bool done_ = true;
  os::CrashGuard::Frame* guarded_ = nullptr;  // while it is suspended

  // What sanitizers want to know of a stack; unused without them.
  [[maybe_unused]] void* sanitizer_fiber_ = nullptr;
  [[maybe_unused]] void* sanitizer_carrier_ = nullptr;
  [[maybe_unused]] void* fake_stack_ = nullptr;
  [[maybe_unused]] void* carrier_fake_stack_ = nullptr;
  [[maybe_unused]] const void* carrier_stack_ = nullptr;
  [[maybe_unused]] std::size_t carrier_stack_size_ = 0;
};

}  // namespace umdev::kernel
