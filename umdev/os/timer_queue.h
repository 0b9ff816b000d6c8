// The pending timers of a loop, earliest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "umdev/support/host.h"

namespace umdev::os {

// A timer as the queue sees it. It does not move while it is queued.
struct QueuedTimer {
  static constexpr std::size_t not_queued = SIZE_MAX;

  Time when{};
  std::uint64_t number = 0;  // keeps timers of one moment in the order in which they were set
  std::size_t position = not_queued;
  Work work;

  bool is_queued() const { return position != not_queued; }
};

// A binary heap whose members know their place, so that setting and cancelling (which every access with a
// deadline does) are logarithmic and, once the vector has grown, without allocation. Not thread-safe: lives
// inside its owner's lock. Does not own the timers.
class TimerQueue {
 public:
  bool empty() const { return heap_.empty(); }
  QueuedTimer& first() { return *heap_.front(); }

  void add(QueuedTimer& timer) {
    timer.number = next_number_++;
    timer.position = heap_.size();
    heap_.push_back(&timer);
    rise(timer.position);
  }

  void remove(QueuedTimer& timer) {
    const std::size_t hole = timer.position;
    QueuedTimer* last = heap_.back();
    heap_.pop_back();
    timer.position = QueuedTimer::not_queued;
    if (last == &timer) return;
    place(hole, last);
    rise(hole);
    sink(last->position);
  }

 private:
  static bool is_earlier(const QueuedTimer& left, const QueuedTimer& right) {
    return left.when != right.when ? left.when < right.when : left.number < right.number;
  }

  void place(std::size_t position, QueuedTimer* timer) {
    heap_[position] = timer;
    timer->position = position;
  }

  void swap(std::size_t left, std::size_t right) {
    QueuedTimer* timer = heap_[left];
    place(left, heap_[right]);
    place(right, timer);
  }

  void rise(std::size_t position) {
    while (position > 0) {
      const std::size_t parent = (position - 1) / 2;
      if (!is_earlier(*heap_[position], *heap_[parent])) return;
      swap(position, parent);
      position = parent;
    }
  }

  void sink(std::size_t position) {
    for (;;) {
      std::size_t earliest = position;
      for (std::size_t child = 2 * position + 1; child <= 2 * position + 2 && child < heap_.size(); ++child)
        if (is_earlier(*heap_[child], *heap_[earliest])) earliest = child;
      if (earliest == position) return;
      swap(position, earliest);
      position = earliest;
    }
  }

  std::vector<QueuedTimer*> heap_;
  std::uint64_t next_number_ = 0;
};

}  // namespace umdev::os
