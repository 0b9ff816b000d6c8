#include "umdev/kernel/deferred.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/calls.h"
#include "umdev/kernel/module.h"

namespace umdev::kernel {

// Runs one item: the one that it was posted for, or the first in the line of an ordered queue.
struct Deferred::ItemTask final : Task {
  ItemTask(std::shared_ptr<Deferred> in, void* what, ::workqueue_struct* of)
      : deferred(std::move(in)), key(what), queue(of) {}
  std::shared_ptr<Deferred> deferred;
  void* key;
  ::workqueue_struct* queue;
  bool has_run = false;

  void run(Call&) override {
    const Run function = deferred->begin(key);
    if (function == nullptr) return;
    has_run = true;
    function(key);
  }
  void finish() override { deferred->ended(key, queue, has_run); }
};

bool Deferred::defer(::workqueue_struct* queue, void* item, Run run, Duration delay, bool anew) {
  Lock lock(mutex_);
  if (has_ended_) return false;
  Item& place = items_[item];
  const bool was_waiting = place.is_waiting;
  if (place.cancellers > 0 || (was_waiting && !anew)) return true;
  place.key = item;
  place.run = run;
  place.queue = queue;
  place.is_waiting = true;
  place.is_due = false;
  place.asked = ++last_asked_;
  place.timer.cancel();
  ++place.timers;
  if (delay <= Duration::zero()) {
    make_due(place);
  } else {
    place.timer = module_.world().host().clock().after(
        delay, [self = weak_from_this(), key = static_cast<const void*>(item), timer = place.timers] {
          if (const auto deferred = self.lock()) deferred->due(key, timer);
        });
  }
  return was_waiting;
}

void Deferred::due(const void* key, std::uint64_t timer) {
  Lock lock(mutex_);
  const auto found = items_.find(key);
  if (found == items_.end() || found->second.timers != timer || !found->second.is_waiting) return;
  make_due(found->second);
}

// What runs at the moment is lined up when it has ended.
void Deferred::make_due(Item& item) {
  if (std::exchange(item.is_due, true) || item.is_running) return;
  line_up(item);
}

void Deferred::line_up(const Item& item) {
  if (item.queue == nullptr || !item.queue->ordered) return post(item.key, item.queue);
  item.queue->line.push_back(item.key);
  if (!std::exchange(item.queue->busy, true)) post(item.key, item.queue);
}

void Deferred::post(void* key, ::workqueue_struct* queue) {
  ++tasks_;
  module_.world().calls().post({.module = &module_, .callback = "work", .device = ""},
                               ItemTask(shared_from_this(), key, queue));
}

Deferred::Run Deferred::begin(const void* key) {
  Lock lock(mutex_);
  const auto found = items_.find(key);
  if (found == items_.end() || !found->second.is_due || found->second.is_running) return nullptr;
  Item& item = found->second;
  item.is_waiting = false;
  item.is_due = false;
  item.is_running = true;
  item.running_for = item.asked;
  return item.run;
}

void Deferred::ended(const void* key, ::workqueue_struct* queue, bool has_run) {
  Lock lock(mutex_);
  if (has_run) {
    Item& item = items_.at(key);
    item.is_running = false;
    if (item.is_due) line_up(item);
    forget_if_idle(key);
  }
  if (queue != nullptr && queue->ordered) {
    queue->line.pop_front();
    queue->busy = !queue->line.empty();
    if (queue->busy) post(queue->line.front(), queue);
  }
  --tasks_;
  changed_.notify_all();
}

void Deferred::forget_if_idle(const void* key) {
  const auto found = items_.find(key);
  if (found == items_.end()) return;
  const Item& item = found->second;
  if (!item.is_waiting && !item.is_running && item.cancellers == 0) items_.erase(found);
}

template <typename Over>
void Deferred::wait_until(Over over) {
  {
    Lock lock(mutex_);
    if (over()) return;
  }
  Calls::about_to_wait();
  while (true) {
    {
      Lock lock(mutex_);
      if (over()) return;
      changed_.wait_for(mutex_, crash_watch);
    }
    leave_after_crash();
  }
}

bool Deferred::cancel(const void* item, bool wait) {
  bool was_waiting = false;
  {
    Lock lock(mutex_);
    const auto found = items_.find(item);
    if (found == items_.end()) return false;
    Item& place = found->second;
    was_waiting = std::exchange(place.is_waiting, false);
    place.is_due = false;
    place.timer.cancel();
    ++place.timers;
    if (wait) ++place.cancellers;
    if (!wait) forget_if_idle(item);
  }
  if (!wait) return was_waiting;
  wait_until([&]() UMDEV_REQUIRES(mutex_) { return !items_.at(item).is_running; });
  Lock lock(mutex_);
  --items_.at(item).cancellers;
  forget_if_idle(item);
  return was_waiting;
}

bool Deferred::flush(const void* item) {
  std::uint64_t asked = 0;
  {
    Lock lock(mutex_);
    const auto found = items_.find(item);
    if (found == items_.end()) return false;
    if (found->second.is_waiting) {
      found->second.timer.cancel();
      make_due(found->second);
    }
    asked = found->second.asked;
  }
  wait_until([&]() UMDEV_REQUIRES(mutex_) { return !is_left(item, asked); });
  return true;
}

bool Deferred::is_left(const void* key, std::uint64_t asked) const {
  const auto found = items_.find(key);
  return found != items_.end() && is_left(found->second, asked);
}

bool Deferred::has_left(const ::workqueue_struct* queue, std::uint64_t asked) const {
  return std::ranges::any_of(items_ | std::views::values, [&](const Item& item) {
    return item.queue == queue && (item.is_due || item.is_running) && is_left(item, asked);
  });
}

bool Deferred::is_waiting(const void* item) const {
  Lock lock(mutex_);
  const auto found = items_.find(item);
  return found != items_.end() && found->second.is_waiting;
}

void Deferred::flush_queue(const ::workqueue_struct* queue) {
  std::uint64_t asked = 0;
  {
    Lock lock(mutex_);
    asked = last_asked_;
  }
  wait_until([&]() UMDEV_REQUIRES(mutex_) { return !has_left(queue, asked); });
}

void Deferred::end_queue(const ::workqueue_struct* queue) {
  wait_until([&]() UMDEV_REQUIRES(mutex_) { return !has_left(queue, UINT64_MAX) && !queue->busy; });
  Lock lock(mutex_);
  std::erase_if(items_, [&](const auto& item) {
    return item.second.queue == queue && !item.second.is_running && item.second.cancellers == 0;
  });
}

std::size_t Deferred::end() {
  std::size_t waited = 0;
  Lock lock(mutex_);
  has_ended_ = true;
  for (auto& [key, item] : items_) {
    waited += std::exchange(item.is_waiting, false) ? 1 : 0;
    item.is_due = false;
    item.timer.cancel();
    ++item.timers;
  }
  // A wait in it looks for a crash as often as this does.
  for (int looks = 0; tasks_ > 0 && looks < 2;)
    if (!changed_.wait_for(mutex_, crash_watch) && module_.has_crashed()) ++looks;
  if (tasks_ == 0) items_.clear();
  return waited;
}

std::vector<Deferred::Run> Deferred::running() const {
  std::vector<Run> functions;
  Lock lock(mutex_);
  for (const auto& [key, item] : items_)
    if (item.is_running) functions.push_back(item.run);
  return functions;
}

bool Deferred::is_idle() const {
  Lock lock(mutex_);
  return tasks_ == 0;
}

// --- The services.

namespace {

Deferred& deferred_of(::module* owner) {
  return static_cast<Module*>(owner->umdev)->deferred();
}

}  // namespace

::workqueue_struct* alloc_workqueue(::module* owner, const char* name, bool ordered) {
  auto& module = *static_cast<Module*>(owner->umdev);
  auto made = std::make_unique<::workqueue_struct>();
  made->name = name;
  made->ordered = ordered;
  ::workqueue_struct* const queue = made.release();
  module.belongings().add(queue, "work queue", name, [queue] { destroy_workqueue(queue); });
  return queue;
}

void destroy_workqueue(::workqueue_struct* queue) {
  const std::unique_ptr<::workqueue_struct> owned(queue);
  Module& module = *current_call()->module;
  module.deferred().end_queue(queue);
  module.belongings().remove(queue);
}

void flush_workqueue(::module* owner, ::workqueue_struct* queue) {
  deferred_of(owner).flush_queue(queue);
}

bool defer(::module* owner, ::workqueue_struct* queue, void* item, void (*run)(void*), umdev_u64 nanoseconds,
           bool anew) {
  // A century is as good as never, and no clock overflows.
  constexpr umdev_u64 most = 3'000'000'000'000'000'000ULL;
  const Duration delay(static_cast<Duration::rep>(std::min(nanoseconds, most)));
  return deferred_of(owner).defer(queue, item, run, delay, anew);
}

bool cancel_deferred(::module* owner, void* item, bool wait) {
  return deferred_of(owner).cancel(item, wait);
}

bool flush_deferred(::module* owner, void* item) {
  return deferred_of(owner).flush(item);
}

bool is_deferred(::module* owner, const void* item) {
  return deferred_of(owner).is_waiting(item);
}

}  // namespace umdev::kernel
