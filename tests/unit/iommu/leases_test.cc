// Pins of a place that is pinned again and again: what is promised of a pin holds for them, too.
#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <thread>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/os/thread.h"

namespace umdev::iommu {
namespace {

constexpr std::uint32_t pin_limit = 80;
constexpr int often = 100;  // a user that has pinned a place so often in a row has a lease there

// The calling thread, and those that it starts meanwhile.
class OnOneProcessor {
 public:
  OnOneProcessor() {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~OnOneProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }
  OnOneProcessor(const OnOneProcessor&) = delete;
  OnOneProcessor& operator=(const OnOneProcessor&) = delete;

 private:
  cpu_set_t before_{};
};

class LeasedSpace : public SpaceTest {
 public:
  LeasedSpace() { allow(pin_limit); }
  // Begins again with another limit.
  void allow(std::uint32_t pins) {
    space->unregister_user(user);
    limits = {
        .mappings_per_container = 64, .pins_per_user = pins, .unmap_deadline = std::chrono::seconds(10)};
    space = std::make_unique<AddressSpace>(clock, limits);
    space->register_user(user);
  }
  void SetUp() override {
    if (!os::can_fence_other_threads())
      GTEST_SKIP() << "membarrier() is not allowed here: there are no leases";
  }

  void pin_often(Iova iova, Access access = Access::read) {
    for (int count = 0; count != often; ++count) ASSERT_EQ(pin_error(iova, 1, access), 0);
  }
  void race_unmaps_against_pins(int rounds);
  // As pin(), once the calling thread has a lease there.
  DmaPin leased_pin(Iova iova, Access access = Access::read) {
    pin_often(iova, access);
    return pin(iova, 1, access);
  }
};

using Leases = LeasedSpace;
using LeaseRaces = LeasedSpace;

// --- what they count ---

TEST_F(Leases, the_limit_is_exact) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page, Access::read, page), 0);
  for (const Access access : {Access::read, Access::read_write}) {
    pin_often(0, access);
    std::deque<DmaPin> held;
    for (std::uint32_t count = 0; count != pin_limit; ++count) held.push_back(pin(0, 1, access));
    EXPECT_EQ(pin_error(0, 1, access), ENOMEM);
    EXPECT_EQ(pin_error(page, 1), ENOMEM);
    held.pop_back();
    held.pop_front();
    held.push_back(pin(page, 1));
    held.push_back(pin(0, 1, access));
    EXPECT_EQ(pin_error(0, 1, access), ENOMEM);
    EXPECT_EQ(space->pin_count(), pin_limit);
  }
}

TEST_F(Leases, an_idle_one_takes_nothing_from_the_limit) {
  for (Iova number = 0; number != 3; ++number)
    ASSERT_EQ(map(number * page, page, Access::read, number * page), 0);
  for (int round = 0; round != 3; ++round) {
    pin_often(0);
    std::deque<DmaPin> held;
    for (std::uint32_t count = 0; count != pin_limit; ++count) held.push_back(pin((1 + count % 2) * page, 1));
    EXPECT_EQ(pin_error(2 * page, 1), ENOMEM);
    EXPECT_EQ(pin_error(0, 1), ENOMEM);
    EXPECT_EQ(space->pin_count(), pin_limit);
  }
}

TEST_F(Leases, pins_are_counted_one_by_one) {
  ASSERT_EQ(map(0, 2 * page), 0);
  pin_often(0);
  EXPECT_EQ(space->pin_count(), 0U);
  DmaPin reading = leased_pin(0);
  DmaPin writing = leased_pin(page, Access::write);
  EXPECT_EQ(space->pin_count(), 2U);
  ASSERT_EQ(space->pinned_for_writing().size(), 1U);
  EXPECT_EQ(space->pinned_for_writing()[0].pins, 1U);
  reading.unpin();
  EXPECT_EQ(space->pin_count(), 1U);
  writing.unpin();
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_TRUE(space->pinned_for_writing().empty());
}

// --- what they are refused ---

TEST_F(Leases, a_pin_is_where_it_asks_to_be_and_nowhere_else) {
  ASSERT_EQ(map(4 * page, 2 * page, Access::read, page), 0);
  const DmaPin last = leased_pin(6 * page - 1);
  EXPECT_EQ(last.segments().front().data, memory->bytes().data() + 3 * page - 1);
  const DmaPin all = pin(4 * page, 2 * page);
  EXPECT_EQ(all.segments().front().data, memory->bytes().data() + page);
  EXPECT_EQ(all.segments().front().length, 2 * page);
  EXPECT_EQ(all.file_of(all.segments().front()).offset, 0x10000U + page);
  EXPECT_EQ(pin_error(4 * page, 0), EINVAL);
  EXPECT_EQ(pin_error(4 * page - 1, 1), EINVAL);
  EXPECT_EQ(pin_error(4 * page - 1, 2), EINVAL);
  EXPECT_EQ(pin_error(6 * page - 1, 2), EINVAL);
  EXPECT_EQ(pin_error(6 * page, 1), EINVAL);
  EXPECT_EQ(pin_error(4 * page, UINT64_MAX), EOVERFLOW);
  EXPECT_EQ(pin_error(4 * page, 1, Access::write), EPERM);
}

TEST_F(Leases, memory_that_went_bad_is_efault) {
  ASSERT_EQ(map(0, page), 0);
  pin_often(0);
  memory->go_bad();
  EXPECT_EQ(pin_error(0, 1), EFAULT);
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(Leases, memory_whose_other_mapping_was_revoked_is_efault) {
  ASSERT_EQ(map(0, page), 0);
  ASSERT_EQ(map(page, page), 0);
  FakeDmaUser other;
  space->register_user(other);
  const DmaPin held = space->pin(other, {0, 1}, Access::read).value();
  pin_often(page);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(pin_error(page, 1), 0);
  clock.advance(limits.unmap_deadline);
  EXPECT_TRUE(held.revoked());
  EXPECT_EQ(pin_error(page, 1), EFAULT);
  space->unregister_user(other);
}

TEST_F(Leases, a_user_that_was_unregistered_is_einval_and_its_pins_are_revoked) {
  ASSERT_EQ(map(0, page), 0);
  const DmaPin held = leased_pin(0);
  space->unregister_user(user);
  EXPECT_TRUE(held.revoked());
  EXPECT_EQ(pin_error(0, 1), EINVAL);
  EXPECT_EQ(space->pin_count(), 0U);
  space->register_user(user);
  const DmaPin fresh = pin(0, 1);
  EXPECT_TRUE(held.revoked());
  EXPECT_FALSE(fresh.revoked());
  EXPECT_EQ(space->pin_count(), 1U);
}

// --- how they end ---

TEST_F(Leases, an_unmap_of_an_idle_one_is_over_at_once) {
  for (int round = 0; round != 3; ++round) {
    ASSERT_EQ(map(0, page), 0);
    pin_often(0);
    Outcome<std::uint64_t> outcome;
    unmap(outcome, 0, page);
    EXPECT_EQ(outcome.value(), page);
    EXPECT_EQ(pin_error(0, 1), EINVAL);
  }
}

TEST_F(Leases, an_unmap_waits_for_the_last_pin) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin first = leased_pin(0);
  DmaPin second = pin(0, 1, Access::write);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(pin_error(0, 1), EINVAL);
  second.unpin();
  EXPECT_FALSE(outcome.is_done());
  first.unpin();
  EXPECT_EQ(outcome.value(), page);
  EXPECT_TRUE(memory->revoked().empty());
}

TEST_F(Leases, at_the_deadline_pins_are_revoked_and_their_user_is_told_once) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin first = leased_pin(0);
  DmaPin second = pin(0, 1);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  clock.advance(limits.unmap_deadline);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_EQ(user.revoked(), (std::vector<IovaRange>{{0, page}}));
  EXPECT_TRUE(first.revoked());
  EXPECT_TRUE(second.revoked());
  EXPECT_EQ(memory->revoked().size(), 1U);
  first.unpin();
  second.unpin();
  const auto fresh = std::make_shared<MemoryBacking>(page);
  ASSERT_EQ(map_on(fresh, 0, page), 0);
  std::deque<DmaPin> held;
  for (std::uint32_t count = 0; count != pin_limit; ++count) held.push_back(pin(0, 1));
  EXPECT_EQ(pin_error(0, 1), ENOMEM) << "what was revoked is in nobody's limit";
}

TEST_F(Leases, pins_outlive_the_space) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin first = leased_pin(0);
  const DmaPin second = pin(0, 1);
  space->unregister_user(user);
  space.reset();
  EXPECT_TRUE(first.revoked());
  first.unpin();
  EXPECT_TRUE(second.revoked());
}

TEST_F(Leases, a_log_hears_of_every_pin_for_writing) {
  class Log final : public DirtySink {
   public:
    std::uint64_t pinned(IovaRange) override { return ++pins; }
    void unpinned(IovaRange, std::uint64_t) override { ++unpins; }
    void written(IovaRange) override {}
    std::uint64_t pins = 0;
    std::uint64_t unpins = 0;
  };
  ASSERT_EQ(map(0, page), 0);
  DmaPin before = leased_pin(0, Access::write);
  const auto log = std::make_shared<Log>();
  space->set_dirty_sink(log);
  pin_often(0, Access::write);
  ASSERT_EQ(space->pinned_for_writing().size(), 1U);
  EXPECT_EQ(space->pinned_for_writing()[0].pins, 1U);
  EXPECT_EQ(log->pins, std::uint64_t{often});
  EXPECT_EQ(log->unpins, std::uint64_t{often});
  before.unpin();
  EXPECT_EQ(log->unpins, std::uint64_t{often} + 1);
  space->set_dirty_sink(nullptr);
  pin_often(0, Access::write);
  EXPECT_EQ(log->pins, std::uint64_t{often});
}

// --- threads ---

TEST_F(Leases, a_pin_may_be_dropped_on_another_thread) {
  ASSERT_EQ(map(0, page), 0);
  for (int round = 0; round != 20; ++round) {
    DmaPin mine = leased_pin(0);
    DmaPin another = pin(0, 1);
    std::thread([&] { another.unpin(); }).join();
    EXPECT_EQ(space->pin_count(), 1U);
    mine.unpin();
    EXPECT_EQ(space->pin_count(), 0U);
  }
}

TEST_F(Leases, every_thread_may_pin_the_same_place) {
  ASSERT_EQ(map(0, page), 0);
  for (int round = 0; round != 20; ++round) {
    DmaPin mine = leased_pin(0);
    DmaPin another;
    std::thread([&] { another = leased_pin(0, Access::write); }).join();
    EXPECT_EQ(space->pin_count(), 2U);
    mine.unpin();
    EXPECT_EQ(space->pinned_for_writing()[0].pins, 1U);
    another.unpin();
    EXPECT_EQ(space->pin_count(), 0U);
  }
}

// Against a plain count of what is held, of three places, each kind for itself.
TEST_F(Leases, whatever_ends_them_what_is_held_is_counted) {
  constexpr std::size_t places = 3;
  allow(4096);
  std::array<DmaPin, 20> held;
  std::mt19937 random(11);
  for (Iova number = 0; number != places; ++number)
    ASSERT_EQ(map(number * page, page, Access::read_write, number * page), 0);
  for (int round = 0; round != 50000; ++round) {
    const Iova at = round / 200 % places * page;
    DmaPin& one = held[random() % held.size()];
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        one.unpin();
        break;
      case 3:
        std::swap(one, held[random() % held.size()]);
        break;
      default:
        if (!one) one = pin(at, 1, random() % 2 == 0 ? Access::read : Access::read_write);
    }
    if (random() % 499 != 0) continue;
    const auto is_held = [](const DmaPin& pin) { return static_cast<bool>(pin); };
    ASSERT_EQ(space->pin_count(), std::ranges::count_if(held, is_held)) << round;
    std::array<std::uint32_t, places> writing{};
    for (const DmaPin& pin : held) {
      if (pin && allows(pin.access(), Access::write)) ++writing[pin.range().iova / page];
    }
    for (const PinnedForWriting& mapping : space->pinned_for_writing()) {
      EXPECT_EQ(mapping.pins, std::exchange(writing[mapping.mapping.iova / page], 0U)) << round;
    }
    ASSERT_EQ(writing, (std::array<std::uint32_t, places>{})) << round;
  }
}

// While a pin is held its mapping does not go. On two processors, where each sees the other's stores late
// (what is not optimised is too slow for that to show), and on one, where the owner stands still at any
// instruction while its lease ends.
void LeasedSpace::race_unmaps_against_pins(int rounds) {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> pinned = 0;
  std::atomic<int> using_it = 0;
  // Far from the processor: what is stored there holds up what is stored behind it, while loads go on.
  std::vector<std::atomic<int>> far(std::size_t{16} << 20U);
  std::jthread owner([&] {
    std::minstd_rand random(7);
    while (!stop.load(std::memory_order_relaxed)) {
      far[random() % far.size()].store(1, std::memory_order_relaxed);
      auto held = space->pin(user, {0, 1}, Access::read);
      if (!held) continue;
      using_it.store(1, std::memory_order_relaxed);
      pinned.store(pinned.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      using_it.store(0, std::memory_order_relaxed);
    }
  });
  for (int round = 0; round != rounds; ++round) {
    ASSERT_EQ(map(0, page), 0);
    const std::uint64_t before = pinned;
    while (pinned < before + often) std::this_thread::yield();
    std::atomic<bool> gone = false;
    space->unmap({0, page}, UnmapRule::whole, [&](Result<std::uint64_t> bytes) {
      EXPECT_EQ(bytes.value_or(0), page);
      EXPECT_EQ(using_it, 0);
      gone = true;
    });
    while (!gone) std::this_thread::yield();
    ASSERT_EQ(space->mapping_count(), 0U);
  }
  stop = true;
  owner.join();
  EXPECT_TRUE(memory->revoked().empty());
  EXPECT_EQ(space->pin_count(), 0U);
}

TEST_F(LeaseRaces, an_unmap_never_ends_under_a_pin) {
  race_unmaps_against_pins(1000);
}

TEST_F(LeaseRaces, an_unmap_never_ends_under_a_pin_on_one_processor) {
  const OnOneProcessor here;
  race_unmaps_against_pins(200);
}

// Everything that ends a lease, while two threads pin for one user and a third drops what they pinned.
TEST_F(LeaseRaces, whatever_ends_them_nothing_is_lost) {
  struct Exchange {
    Mutex mutex;
    std::vector<DmaPin> dropped UMDEV_GUARDED_BY(mutex);
  } exchange;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> pinned = 0;
  std::vector<std::jthread> threads;
  for (unsigned seed = 1; seed != 3; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed);
      std::vector<DmaPin> held;
      while (!stop) {
        auto one = space->pin(user, {0, 1}, random() % 2 == 0 ? Access::read : Access::write);
        if (one) pinned.fetch_add(1, std::memory_order_relaxed);
        if (one && random() % 4 == 0) held.push_back(std::move(*one));
        if (!one || held.size() > 5) held.clear();
        if (random() % 512 == 0 && !held.empty()) {
          Lock lock(exchange.mutex);
          exchange.dropped.push_back(std::move(held.back()));
          held.pop_back();
        }
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      std::vector<DmaPin> dropped;
      {
        Lock lock(exchange.mutex);
        dropped.swap(exchange.dropped);
      }
      if (dropped.empty()) std::this_thread::yield();
    }
  });
  for (int round = 0; round != 150; ++round) {
    ASSERT_EQ(map(0, page), 0);
    const std::uint64_t before = pinned;
    while (pinned < before + 10 * often) {
      EXPECT_LE(space->pin_count(), pin_limit);
      std::this_thread::yield();
    }
    for (const PinnedForWriting& mapping : space->pinned_for_writing()) EXPECT_LE(mapping.pins, pin_limit);
    std::atomic<bool> gone = false;
    space->unmap({0, page}, UnmapRule::whole, [&](Result<std::uint64_t>) { gone = true; });
    while (!gone) std::this_thread::yield();
    // One that is registered anew may have leases on other threads again.
    space->unregister_user(user);
    space->register_user(user);
  }
  stop = true;
  threads.clear();
  {
    Lock lock(exchange.mutex);
    exchange.dropped.clear();
  }
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_TRUE(memory->revoked().empty());
}

}  // namespace
}  // namespace umdev::iommu
