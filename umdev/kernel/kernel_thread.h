// Threads of modules: functions that run until they are asked to end (kthread_run(), kthread_stop()).
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/call.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

class Module;

// What stands behind a struct task_struct, from its creation until it is stopped. All members from any
// thread.
class KernelThread : public std::enable_shared_from_this<KernelThread> {
 public:
  using Function = int (*)(void*);
  KernelThread(Module& module, Function function, void* data, const std::string& name);
  KernelThread(const KernelThread&) = delete;
  KernelThread& operator=(const KernelThread&) = delete;

  ::task_struct* task() { return &task_; }
  static KernelThread& of(::task_struct* task) { return *static_cast<KernelThread*>(task->umdev); }

  // Begins, or ends the sleep that it is in.
  void wake() UMDEV_EXCLUDES(mutex_);
  bool should_stop() const { return should_stop_; }
  bool is_running() const UMDEV_EXCLUDES(mutex_);
  // Asks it to end, and waits; what its function has returned. EINTR: it has never begun; EIO: its module has
  // crashed, and it has ended of that or does not end.
  int stop() UMDEV_EXCLUDES(mutex_);

  // Around a sleep: where it can be woken.
  class Asleep {
   public:
    Asleep(KernelThread& thread, const int* word) : thread_(thread) { thread_.sleeps_on_ = word; }
    ~Asleep() { thread_.sleeps_on_ = nullptr; }
    Asleep(const Asleep&) = delete;
    Asleep& operator=(const Asleep&) = delete;

   private:
    KernelThread& thread_;
  };

 private:
  struct ThreadTask;
  enum class State : std::uint8_t { created, running, ended };
  bool wait_for_end(std::chrono::nanoseconds most) UMDEV_EXCLUDES(mutex_);

  Module& module_;
  const Function function_;
  void* const data_;
  ::task_struct task_ = {};
  std::atomic<bool> should_stop_ = false;
  std::atomic<const int*> sleeps_on_ = nullptr;
  mutable Mutex mutex_;
  Condition ended_;
  State state_ UMDEV_GUARDED_BY(mutex_) = State::created;
  int result_ UMDEV_GUARDED_BY(mutex_) = 0;
};

// The services.
::task_struct* kthread_create(::module* owner, int (*function)(void*), void* data, const char* format,
                              va_list arguments) __attribute__((format(printf, 4, 0)));
int wake_up_process(::task_struct* task);
int kthread_stop(::task_struct* task);
bool kthread_should_stop();
::task_struct* current_task();

}  // namespace umdev::kernel
