// The call that a module is in: whose it is, and whose memory and descriptors it may touch.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::iommu {
class CallerMemory;
}

namespace umdev::kernel {

class Calls;
class Fiber;
class KernelThread;
class Module;
class PageArena;
class VfioRecord;

// What is known of the call that runs on this thread. A signal handler may look at the one that
// current_call() gives: nothing in it is freed while it is current.
struct Call {
  Module* module = nullptr;
  const char* callback = "";  // "read", "module_init": for people
  const char* device = "";    // the device's name, where the call is for one

  // "User memory" of this request: what copy_to_user() and copy_from_user() may touch.
  struct UserRange {
    std::byte* data = nullptr;
    std::size_t size = 0;
    bool writable = false;
  };
  std::array<UserRange, 4> user_ranges = {};
  std::size_t user_range_count = 0;
  // Beside these, the memory of the process that calls, by its own addresses; null where the request came
  // with all that it may touch.
  iommu::CallerMemory* caller = nullptr;
  // Descriptors that came with the request: what eventfd_ctx_fdget() may take.
  std::span<const os::UniqueFd> descriptors = {};

  // The device whose callback the call is inside, if it is.
  VfioRecord* inside = nullptr;
  // Where pages that the call asks for come from: the instance's, so that no other client ever sees them;
  // null: the module's own.
  PageArena* pages = nullptr;

  // The thread of the module's own that the call is, if it is one.
  KernelThread* thread = nullptr;

  // Where a wait may leave the thread to others; null where the thread itself may wait.
  Fiber* fiber = nullptr;
};

// The call that this thread is in; null outside of modules. Ask again after anything that may wait: the call
// may have moved to another thread.
Call* current_call();
// Returns the one before.
Call* set_current_call(Call* call);

// Ends the call where its module has crashed meanwhile, in another call: whoever it waits for may never come.
// Said by all that waits, now and then, with no lock held.
void leave_after_crash();
constexpr std::chrono::seconds crash_watch{1};

// The answer to a call whose module has crashed, in it or before.
std::unexpected<Error> module_crashed();

// Makes bytes user memory for as long as it lives.
class UserMemory {
 public:
  UserMemory(Call& call, Bytes bytes) : UserMemory(call, bytes.data(), bytes.size(), true) {}
  UserMemory(Call& call, ConstBytes bytes)
      : UserMemory(call, const_cast<std::byte*>(bytes.data()), bytes.size(), false) {}
  ~UserMemory() { --call_.user_range_count; }
  UserMemory(const UserMemory&) = delete;
  UserMemory& operator=(const UserMemory&) = delete;

 private:
  UserMemory(Call& call, std::byte* data, std::size_t size, bool writable);
  Call& call_;
};

// This thread is in a call of a module from here to the end of the scope, and may wait in it.
class CallScope {
 public:
  CallScope(Module& module, const char* callback, const char* device = "");
  ~CallScope() { set_current_call(before_); }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  Call& call() { return call_; }

 private:
  Call call_;
  Call* const before_;
};

}  // namespace umdev::kernel
