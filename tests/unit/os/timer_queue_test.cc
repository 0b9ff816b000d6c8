#include "umdev/os/timer_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <deque>

namespace umdev::os {
namespace {

// Against a plain model: a sorted list.
TEST(TimerQueue, gives_the_earliest_first_and_those_of_one_moment_in_order) {
  EXPECT_TRUE(rc::check([] {
    TimerQueue queue;
    std::deque<QueuedTimer> timers;
    std::vector<QueuedTimer*> model;
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 4), rc::gen::inRange(0, 20)));
    for (const auto& [step, number] : steps) {
      if (step < 2) {
        QueuedTimer& timer = timers.emplace_back();
        timer.when = Time(Duration(number));
        queue.add(timer);
        const auto place = std::ranges::upper_bound(model, timer.when, {}, &QueuedTimer::when);
        model.insert(place, &timer);
      } else if (!model.empty()) {
        const auto victim =
            step == 2 ? model.begin() : model.begin() + number % static_cast<int>(model.size());
        if (step == 2) RC_ASSERT(&queue.first() == *victim);
        queue.remove(**victim);
        RC_ASSERT(!(*victim)->is_queued());
        model.erase(victim);
      }
      RC_ASSERT(queue.empty() == model.empty());
    }
    for (QueuedTimer* expected : model) {
      RC_ASSERT(&queue.first() == expected);
      queue.remove(*expected);
    }
    RC_ASSERT(queue.empty());
  }));
}

}  // namespace
}  // namespace umdev::os
