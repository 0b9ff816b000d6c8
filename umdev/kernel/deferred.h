// What a module has put off: work items and timers, which run in calls of their own.
//
// One kind of thing stands behind struct work_struct, struct delayed_work and struct timer_list of all
// vintages: an item, known by the address of the module's structure, that is to run at a time. Nothing of the
// structure itself is looked at, so that a function may free its own work.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/call.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"

// NOLINTNEXTLINE(readability-identifier-naming): the kernel's
struct workqueue_struct {
  std::string name;
  bool ordered = false;  // one item at a time, in the order in which they became due
  // The rest is Deferred's, under its mutex.
  std::deque<void*> line;
  bool busy = false;
};

namespace umdev::kernel {

class Module;

// Of one module. All members from any thread; those that wait leave a serving thread to others.
class Deferred : public std::enable_shared_from_this<Deferred> {
 public:
  using Run = void (*)(void*);

  explicit Deferred(Module& module) : module_(module) {}
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  // As the services of these names; `queue` null: the module's own, in which everything runs beside each
  // other.
  bool defer(::workqueue_struct* queue, void* item, Run run, Duration delay, bool anew)
      UMDEV_EXCLUDES(mutex_);
  bool cancel(const void* item, bool wait) UMDEV_EXCLUDES(mutex_);
  bool flush(const void* item) UMDEV_EXCLUDES(mutex_);
  bool is_waiting(const void* item) const UMDEV_EXCLUDES(mutex_);
  void flush_queue(const ::workqueue_struct* queue) UMDEV_EXCLUDES(mutex_);
  // Until nothing of it is left, whatever is put into it meanwhile; what waits for its time is forgotten.
  void end_queue(const ::workqueue_struct* queue) UMDEV_EXCLUDES(mutex_);

  // The module's end: nothing waits and nothing runs any more, nor ever again. How many items waited. What a
  // crashed module still runs is waited for only as long as it takes to notice that.
  std::size_t end() UMDEV_EXCLUDES(mutex_);

  // The functions that run at this moment.
  std::vector<Run> running() const UMDEV_EXCLUDES(mutex_);
  bool is_idle() const UMDEV_EXCLUDES(mutex_);

 private:
  struct Item {
    void* key = nullptr;
    Run run = nullptr;
    ::workqueue_struct* queue = nullptr;
    bool is_waiting = false;  // asked for, and not begun
    bool is_due = false;      // its time has come
    bool is_running = false;
    int cancellers = 0;  // as long as there are any it cannot be asked for
    std::uint64_t asked = 0;
    std::uint64_t running_for = 0;  // what `asked` was
    Timer timer;
    std::uint64_t timers = 0;  // numbers them: one that comes too late is known by it
  };
  struct ItemTask;

  void due(const void* key, std::uint64_t timer) UMDEV_EXCLUDES(mutex_);
  void make_due(Item& item) UMDEV_REQUIRES(mutex_);
  void line_up(const Item& item) UMDEV_REQUIRES(mutex_);
  void post(void* key, ::workqueue_struct* queue) UMDEV_REQUIRES(mutex_);
  // What the task is to run; null when it was cancelled.
  Run begin(const void* key) UMDEV_EXCLUDES(mutex_);
  void ended(const void* key, ::workqueue_struct* queue, bool has_run) UMDEV_EXCLUDES(mutex_);
  void forget_if_idle(const void* key) UMDEV_REQUIRES(mutex_);
  static bool is_left(const Item& item, std::uint64_t asked) {
    return (item.is_waiting && item.asked <= asked) || (item.is_running && item.running_for <= asked);
  }
  bool is_left(const void* key, std::uint64_t asked) const UMDEV_REQUIRES(mutex_);
  // What waits for its time is not in the queue yet, as in the kernel.
  bool has_left(const ::workqueue_struct* queue, std::uint64_t asked) const UMDEV_REQUIRES(mutex_);
  // Until `over`, which is asked with the mutex held whenever something has ended.
  template <typename Over>
  void wait_until(Over over) UMDEV_EXCLUDES(mutex_);

  Module& module_;
  mutable Mutex mutex_;
  Condition changed_;
  std::map<const void*, Item> items_ UMDEV_GUARDED_BY(mutex_);
  std::uint64_t last_asked_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::size_t tasks_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool has_ended_ UMDEV_GUARDED_BY(mutex_) = false;
};

// The services.
::workqueue_struct* alloc_workqueue(::module* owner, const char* name, bool ordered);
void destroy_workqueue(::workqueue_struct* queue);
void flush_workqueue(::module* owner, ::workqueue_struct* queue);
bool defer(::module* owner, ::workqueue_struct* queue, void* item, void (*run)(void*), umdev_u64 nanoseconds,
           bool anew);
bool cancel_deferred(::module* owner, void* item, bool wait);
bool flush_deferred(::module* owner, void* item);
bool is_deferred(::module* owner, const void* item);

}  // namespace umdev::kernel
