#include "umdev/kernel/kernel_thread.h"

#include <cerrno>
#include <cstdio>
#include <string>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/calls.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"

namespace umdev::kernel {
namespace {

// How often a thread that is to end is woken: it may have been about to sleep.
constexpr std::chrono::milliseconds wake_again{10};

}  // namespace

KernelThread::KernelThread(Module& module, Function function, void* data, const std::string& name)
    : module_(module), function_(function), data_(data) {
  std::snprintf(task_.comm, sizeof(task_.comm), "%s", name.c_str());
  task_.umdev = this;
}

struct KernelThread::ThreadTask final : Task {
  explicit ThreadTask(std::shared_ptr<KernelThread> of) : thread(std::move(of)) {}
  std::shared_ptr<KernelThread> thread;
  int result = 0;

  void run(Call& call) override {
    call.thread = thread.get();
    result = thread->function_(thread->data_);
  }
  void crashed() override { result = -EIO; }
  void finish() override {
    Lock lock(thread->mutex_);
    thread->state_ = State::ended;
    thread->result_ = result;
    thread->ended_.notify_all();
  }
};

void KernelThread::wake() {
  {
    Lock lock(mutex_);
    if (state_ == State::created) {
      state_ = State::running;
      module_.world().calls().post({.module = &module_, .callback = task_.comm, .device = ""},
                                   ThreadTask(shared_from_this()));
      return;
    }
  }
  // The memory of the word may be gone: then the kernel says so, and nothing comes of it.
  if (const int* const word = sleeps_on_) kernel::wake(word, true);
}

bool KernelThread::wait_for_end(std::chrono::nanoseconds most) {
  Lock lock(mutex_);
  if (state_ == State::ended) return true;
  if (most > std::chrono::nanoseconds::zero()) ended_.wait_for(mutex_, most);
  return state_ == State::ended;
}

bool KernelThread::is_running() const {
  Lock lock(mutex_);
  return state_ == State::running;
}

int KernelThread::stop() {
  should_stop_ = true;
  {
    Lock lock(mutex_);
    if (state_ == State::created) return -EINTR;
  }
  if (!wait_for_end({})) {
    Calls::about_to_wait();
    std::chrono::nanoseconds granted = 2 * crash_watch;
    for (wake(); !wait_for_end(wake_again); wake()) {
      if (!module_.has_crashed()) continue;
      leave_after_crash();
      granted -= wake_again;
      if (granted <= granted.zero()) return -EIO;
    }
  }
  Lock lock(mutex_);
  return result_;
}

// --- The services.

::task_struct* kthread_create(::module* owner, int (*function)(void*), void* data, const char* format,
                              va_list arguments) {
  auto& module = *static_cast<Module*>(owner->umdev);
  char name[64];
  std::vsnprintf(name, sizeof(name), format, arguments);
  auto thread = std::make_shared<KernelThread>(module, function, data, name);
  ::task_struct* const task = thread->task();
  module.threads().add(task, std::move(thread));
  module.belongings().add(task, "thread", name, [task] { kthread_stop(task); });
  return task;
}

int wake_up_process(::task_struct* task) {
  KernelThread::of(task).wake();
  return 1;
}

int kthread_stop(::task_struct* task) {
  Module& module = *current_call()->module;
  // Kept by the module until it has ended, for a crash leaves this without looking back.
  KernelThread* const thread = module.threads().find(task).get();
  if (thread == nullptr) return -ESRCH;
  module.belongings().remove(task);
  const int result = thread->stop();
  if (!thread->is_running()) static_cast<void>(module.threads().take(task));
  return result;
}

bool kthread_should_stop() {
  const KernelThread* const thread = current_call()->thread;
  return thread != nullptr && thread->should_stop();
}

::task_struct* current_task() {
  const Call* const call = current_call();
  return call->thread != nullptr ? call->thread->task() : call->module->task();
}

}  // namespace umdev::kernel
