// One module in one world: its descriptor, its parameters, its beginning and its end.
//
// Whoever loads a shared object hands its `umdev_module` (include/umdev/kernel/umdev/module.h) to create(),
// sets parameters, and calls init(). The object must stay mapped until the Module is destroyed.
//
// Threads: init() and exit() wait for whatever the module waits for, so they are for threads that serve no
// client; the rest from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "include/umdev/kernel/umdev/module.h"
#include "umdev/kernel/event_contexts.h"
#include "umdev/kernel/vm_area.h"
#include "umdev/kernel/world.h"
#include "umdev/os/crash_guard.h"
#include "umdev/support/error.h"

namespace umdev::kernel {

class Belongings;
class Deferred;
class KernelThread;

class Module {
 public:
  enum class State : std::uint8_t { loaded, running, ended };

  // Gives the object its services. ENOEXEC: it was compiled for other headers, or for a longer table of
  // services than this program has; EEXIST: the object is a module of some world already.
  static Result<std::unique_ptr<Module>> create(World& world, const ::umdev_module& object);
  // Not while it runs: exit() has succeeded, or init() has not.
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  World& world() const { return world_; }
  std::string_view name() const { return name_; }
  // The vintage that it was compiled for, as LINUX_VERSION_CODE.
  std::uint32_t api() const { return object_.api; }
  State state() const { return state_; }
  std::span<const ::umdev_parameter> parameters() const;
  std::span<const ::umdev_module_note> notes() const;
  // The first note with this tag ("license"); empty without.
  std::string_view note(std::string_view tag) const;

  // insmod's name=value, before init(). ENOENT no such parameter; EINVAL, ERANGE the text is no value of its
  // type; ENOSPC a string that is too long; EBUSY after init().
  Result<> set_parameter(std::string_view name, std::string_view text);

  // module_init(). Its error is the module's; what the module has left registered then is taken away again,
  // and said in the log.
  Result<> init();
  // Devices of it that are open at this moment.
  std::size_t open_devices() const;
  void count_open(int change) { open_devices_ += static_cast<std::size_t>(change); }
  // module_exit(). EBUSY: a device of it is open (unless `forced`: then users are cut off as by
  // RemovePolicy::force); EBUSY too for one without module_exit(). What it leaves is taken away, and said in
  // the log.
  Result<> exit(bool forced);
  // Whether what is being removed now is to be taken from its users.
  bool is_forced() const { return forced_; }

  // --- Crashes. A call in which it crashes is answered with EIO, as every call from then on: the module is
  // not called any more, and what waits in it is let go.

  // Where its code lies, before init(): what crashes there ends the call instead of the process
  // (os::CrashGuard).
  Result<> guard(const os::GuardedCode& code);
  const os::GuardedCode& code() const { return code_; }
  bool has_crashed() const { return has_crashed_.load(std::memory_order_relaxed); }
  // Calls `function`, which is nothing but a call of the module's, on this thread, which may wait. False: it
  // has crashed, in that or before. Inside of a call of the module's it keeps a crash from what lies between.
  template <typename Function>
  bool call(const char* callback, const char* device, Function function) {
    if (has_crashed()) return false;
    CallScope scope(*this, callback, device);
    const auto crash = os::CrashGuard::call(
        code_, callback, [](void* raw) { (*static_cast<Function*>(raw))(); }, static_cast<void*>(&function));
    if (crash) note_crash(scope.call(), *crash);
    return !crash;
  }
  // Where and how; nothing as long as it has not.
  std::optional<std::string> crash() const UMDEV_EXCLUDES(mutex_);
  void note_crash(const Call& call, const os::Crash& crash) UMDEV_EXCLUDES(mutex_);

  // --- An end that does not come.

  // What of it runs at this moment beside requests: its end itself, work, threads; for people.
  std::vector<std::string> unfinished() const;
  // Nothing of that runs: it can be destroyed.
  bool is_idle() const;
  // Treats it as crashed, so that what waits in it is let go.
  void give_up() UMDEV_EXCLUDES(mutex_);

  bool has_exit() const { return object_.exit != nullptr; }
  // What instances can be made of at the moment.
  std::vector<std::string> parents() const;

  // What it has registered.
  Belongings& belongings() { return *belongings_; }
  // Memory that it can give to clients: pages allocated outside of any device's calls, and vmalloc_user()'s.
  PageArena& pages() { return pages_; }
  UserAllocations& user_allocations() { return user_allocations_; }
  PutContexts& put_contexts() { return put_contexts_; }
  // What it has put off, and its threads.
  Deferred& deferred() { return *deferred_; }
  PointerMap<::task_struct, KernelThread>& threads() { return threads_; }
  // What `current` is outside of those.
  ::task_struct* task() { return &task_; }

 private:
  Module(World& world, const ::umdev_module& object);
  static const Module* module_of(const mdev::ParentDriver& driver);
  void take_back();

  World& world_;
  const ::umdev_module& object_;
  const std::string name_;
  const std::unique_ptr<Belongings> belongings_;
  std::vector<std::unique_ptr<char[]>> texts_;  // what parameters of text point to
  PageArena pages_;
  UserAllocations user_allocations_;
  PutContexts put_contexts_;
  const std::shared_ptr<Deferred> deferred_;
  PointerMap<::task_struct, KernelThread> threads_;
  ::task_struct task_ = {.comm = "umdevd", .pid = 1, .umdev = nullptr};
  std::atomic<State> state_ = State::loaded;
  std::atomic<bool> forced_ = false;
  std::atomic<bool> is_in_exit_ = false;
  std::atomic<std::size_t> open_devices_ = 0;
  os::GuardedCode code_;
  std::atomic<bool> has_crashed_ = false;
  mutable Mutex mutex_;
  std::string crash_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel
