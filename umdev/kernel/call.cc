#include "umdev/kernel/call.h"

#include "umdev/support/assert.h"

namespace umdev::kernel {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): the kernel's functions take no context
thread_local Call* current = nullptr;

}  // namespace

// Not inline: a compiler may remember where a thread's variables are, over a change of the thread.
[[gnu::noinline]] Call* current_call() {
  return current;
}

[[gnu::noinline]] Call* set_current_call(Call* call) {
  Call* const before = current;
  current = call;
  return before;
}

UserMemory::UserMemory(Call& call, std::byte* data, std::size_t size, bool writable) : call_(call) {
  UMDEV_ASSERT(call.user_range_count < call.user_ranges.size(), "a request has too many ranges of memory");
  call.user_ranges[call.user_range_count++] = {.data = data, .size = size, .writable = writable};
}

CallScope::CallScope(Module& module, const char* callback, const char* device)
    : before_(set_current_call(&call_)) {
  call_.module = &module;
  call_.callback = callback;
  call_.device = device;
}

}  // namespace umdev::kernel
