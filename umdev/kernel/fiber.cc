#include "umdev/kernel/fiber.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "umdev/os/mapping.h"
#include "umdev/support/assert.h"
#include "umdev/support/sanitizers.h"

#if defined(UMDEV_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(UMDEV_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

// Saves what a function must keep, exchanges stacks, and goes on where the other one was left. (swapcontext()
// would do it too, with two system calls for signal masks, which nobody here changes.)
extern "C" void umdev_switch_stack(void** save_stack_pointer, void* stack_pointer);

#if defined(__x86_64__)
asm(R"(
.text
.globl umdev_switch_stack
.hidden umdev_switch_stack
.type umdev_switch_stack, @function
umdev_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size umdev_switch_stack, .-umdev_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl umdev_switch_stack
.hidden umdev_switch_stack
.type umdev_switch_stack, %function
umdev_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size umdev_switch_stack, .-umdev_switch_stack
)");
#else
#error "say here how this processor changes stacks"
#endif

namespace umdev::kernel {
namespace {

// The kernel gives a driver 16 KiB; our services and sanitizers' frames need more. Touched pages only are
// taken.
constexpr std::size_t stack_bytes = has_own_heap ? std::size_t{1} << 20 : std::size_t{256} << 10;

// What enter() is to begin with: a thread has at most one fiber that begins.
// A new stack gets no argument.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
thread_local Fiber* beginning = nullptr;

// What the first switch to a stack finds there: registers of no meaning, and enter() to return to.
void* first_frame(std::byte* stack_end, void (*entry)()) {
#if defined(__x86_64__)
  // As after a call: the stack is 8 off a multiple of 16 when enter() begins.
  auto* top = reinterpret_cast<void**>(stack_end) - 2;
  top[0] = reinterpret_cast<void*>(entry);
  top[1] = nullptr;
  return static_cast<void*>(top - 6);
#elif defined(__aarch64__)
  auto* frame = reinterpret_cast<void**>(stack_end - 160);
  frame[11] = reinterpret_cast<void*>(entry);  // x30
  return frame;
#endif
}

}  // namespace

Result<std::unique_ptr<Fiber>> Fiber::create() {
  const std::size_t guard = os::page_size();
  void* memory = ::mmap(nullptr, stack_bytes + guard, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail(ENOMEM, "no memory for a call's stack");
  auto fiber = std::unique_ptr<Fiber>(new Fiber());
  fiber->memory_ = static_cast<std::byte*>(memory);
  fiber->stack_ = fiber->memory_ + guard;
  fiber->stack_size_ = stack_bytes;
  if (::mprotect(memory, guard, PROT_NONE) != 0) return fail(ENOMEM, "no guard for a call's stack");
  fiber->fiber_stack_pointer_ = first_frame(fiber->stack_ + stack_bytes, &Fiber::enter);
#if defined(UMDEV_THREAD_SANITIZER)
  fiber->sanitizer_fiber_ = __tsan_create_fiber(0);
#endif
  return fiber;
}

Fiber::~Fiber() {
  UMDEV_ASSERT(done_, "a call's stack was destroyed in the middle of the call");
#if defined(UMDEV_THREAD_SANITIZER)
  if (sanitizer_fiber_ != nullptr) __tsan_destroy_fiber(sanitizer_fiber_);
#endif
  if (memory_ != nullptr) ::munmap(memory_, static_cast<std::size_t>(stack_ - memory_) + stack_size_);
}

bool Fiber::start(Body& body) {
  UMDEV_ASSERT(done_, "a call's stack was used twice");
  body_ = &body;
  done_ = false;
  return resume();
}

bool Fiber::resume() {
  beginning = this;
  // What is guarded on this stack comes and goes with it.
  auto* const guarded = os::CrashGuard::exchange(guarded_);
  switch_to_fiber();
  guarded_ = os::CrashGuard::exchange(guarded);
  return done_;
}

void Fiber::suspend() {
  switch_to_carrier();
}

void Fiber::enter() {
  beginning->run();
}

// Never returns: the stack stays in the middle of the loop between two bodies.
void Fiber::run() {
#if defined(UMDEV_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(nullptr, &carrier_stack_, &carrier_stack_size_);
#endif
  for (;;) {
    body_->run();
    done_ = true;
    switch_to_carrier();
  }
}

void Fiber::switch_to_fiber() {
#if defined(UMDEV_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(&carrier_fake_stack_, stack_, stack_size_);
#endif
#if defined(UMDEV_THREAD_SANITIZER)
  sanitizer_carrier_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(sanitizer_fiber_, 0);
#endif
  umdev_switch_stack(&carrier_stack_pointer_, fiber_stack_pointer_);
#if defined(UMDEV_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(carrier_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::switch_to_carrier() {
#if defined(UMDEV_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(&fake_stack_, carrier_stack_, carrier_stack_size_);
#endif
#if defined(UMDEV_THREAD_SANITIZER)
  __tsan_switch_to_fiber(sanitizer_carrier_, 0);
#endif
  umdev_switch_stack(&fiber_stack_pointer_, carrier_stack_pointer_);
#if defined(UMDEV_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(fake_stack_, &carrier_stack_, &carrier_stack_size_);
#endif
}

}  // namespace umdev::kernel
