// A feed of events to any number of subscribers. Each has a bounded queue of its own: who does not read loses
// events, is told so, and holds up nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"
#include "umdev/support/mutex.h"

namespace umdev::tree {

template <typename Event>
class Feed {
  struct Queue;

 public:
  // Called, with no lock held, when there is something to read that was not there before: read until EAGAIN.
  // May be called from any thread, by several at once, and may still run when the Subscription has just been
  // destroyed: it must own what it touches.
  using Wake = InlineFunction<void(), 32>;

  // One subscriber's end. Destroying it ends the subscription. Any thread.
  class Subscription {
   public:
    Subscription() = default;

    // The oldest event that has not been read. EAGAIN when there is none. ENOBUFS, once, where events are
    // missing because the queue was full (as a netlink socket says it): read the state afresh, then go on.
    Result<Event> next() {
      UMDEV_ASSERT(queue_, "an empty subscription was read");
      Lock lock(queue_->mutex);
      if (!queue_->events.empty()) {
        Event event = std::move(queue_->events.front());
        queue_->events.pop_front();
        return event;
      }
      if (std::exchange(queue_->overflowed, false))
        return fail(ENOBUFS, "events were lost: the queue was full");
      return fail(EAGAIN, "no event is waiting");
    }

    // How many events were lost so far, in all.
    std::uint64_t lost() const {
      UMDEV_ASSERT(queue_, "an empty subscription was asked");
      Lock lock(queue_->mutex);
      return queue_->lost;
    }

    explicit operator bool() const { return queue_ != nullptr; }

   private:
    friend class Feed;
    explicit Subscription(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
    std::shared_ptr<Queue> queue_;
  };

  // `capacity` events are kept for the subscriber, at least one. Any thread.
  Subscription subscribe(std::size_t capacity, Wake wake = {}) {
    auto queue = std::make_shared<Queue>();
    queue->capacity = capacity == 0 ? 1 : capacity;
    queue->wake = std::move(wake);
    Lock lock(mutex_);
    queues_.push_back(queue);
    subscribers_.store(queues_.size(), std::memory_order_release);
    return Subscription(std::move(queue));
  }

  // False when an event would be made for nobody (a moment later this may be wrong).
  bool has_subscribers() const { return subscribers_.load(std::memory_order_acquire) != 0; }

  // Puts the event into each queue; never blocks and calls nobody. What is published under one lock of the
  // publisher arrives in that order. Follow it by wake() when that lock is released.
  void publish(const Event& event) {
    Lock lock(mutex_);
    std::erase_if(queues_, [&](const std::weak_ptr<Queue>& weak) {
      const auto queue = weak.lock();
      if (queue) queue->put(event);
      return queue == nullptr;
    });
    subscribers_.store(queues_.size(), std::memory_order_release);
  }

  // Wakes the subscribers that have news. Hold no lock.
  void wake() {
    if (!has_subscribers()) return;
    std::vector<std::shared_ptr<Queue>> due;
    {
      Lock lock(mutex_);
      for (const auto& weak : queues_) {
        auto queue = weak.lock();
        if (queue && queue->wake_due.exchange(false)) due.push_back(std::move(queue));
      }
    }
    for (const auto& queue : due) {
      if (queue->wake) queue->wake();
    }
  }

 private:
  struct Queue {
    void put(const Event& event) {
      Lock lock(mutex);
      const bool was_readable = !events.empty() || overflowed;
      // After a gap nothing more is taken until the reader has been told of the gap: what it reads stays in
      // order.
      if (overflowed || events.size() == capacity) {
        overflowed = true;
        ++lost;
      } else {
        events.push_back(event);
      }
      if (!was_readable) wake_due.store(true);
    }

    Mutex mutex;
    std::deque<Event> events UMDEV_GUARDED_BY(mutex);
    std::size_t capacity = 1;
    std::uint64_t lost UMDEV_GUARDED_BY(mutex) = 0;
    bool overflowed UMDEV_GUARDED_BY(mutex) = false;
    std::atomic<bool> wake_due = false;
    Wake wake;
  };

  Mutex mutex_;
  std::vector<std::weak_ptr<Queue>> queues_ UMDEV_GUARDED_BY(mutex_);
  std::atomic<std::size_t> subscribers_ = 0;
};

}  // namespace umdev::tree
