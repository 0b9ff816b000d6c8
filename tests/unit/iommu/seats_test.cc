// How pins are counted: a user's limit shared out to the mappings, several users of one mapping, and what a
// log of written memory is told.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <thread>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

class Seats : public SpaceTest {
 public:
  Seats() {
    space->unregister_user(user);
    limits = {.mappings_per_container = 64, .pins_per_user = 40, .unmap_deadline = std::chrono::seconds(10)};
    space = std::make_unique<AddressSpace>(clock, limits);
    space->register_user(user);
    memory = std::make_shared<MemoryBacking>(64 * page);
  }
};

TEST_F(Seats, the_limit_is_exact_however_the_pins_are_spread) {
  for (Iova number = 0; number != 20; ++number)
    ASSERT_EQ(map(number * page, page, Access::read, number * page), 0);
  std::mt19937 random(3);
  std::deque<DmaPin> held;
  for (int round = 0; round != 4000; ++round) {
    const bool want = random() % 100 < (round / 500 % 2 == 0 ? 70U : 30U);
    if (want) {
      Result<DmaPin> result = space->pin(user, {random() % 20 * page, 1}, Access::read);
      ASSERT_EQ(error_of(result), held.size() == 40 ? ENOMEM : 0) << round;
      if (result) held.push_back(std::move(*result));
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      held.pop_back();
    }
    ASSERT_EQ(space->pin_count(), held.size());
  }
}

TEST_F(Seats, all_pins_may_be_in_one_mapping_after_they_were_in_many) {
  for (Iova number = 0; number != 40; ++number) {
    ASSERT_EQ(map(number * page, page, Access::read, number * page), 0);
    EXPECT_EQ(pin_error(number * page, 1), 0);
  }
  std::deque<DmaPin> held;
  for (int count = 0; count != 40; ++count) held.push_back(pin(5 * page, 1));
  EXPECT_EQ(pin_error(5 * page, 1), ENOMEM);
  EXPECT_EQ(pin_error(6 * page, 1), ENOMEM);
  held.pop_back();
  EXPECT_EQ(pin_error(6 * page, 1), 0);
}

TEST_F(Seats, a_pin_that_spans_and_is_refused_leaves_nothing) {
  for (Iova number = 0; number != 4; ++number)
    ASSERT_EQ(map(number * page, page, Access::read, number * page), 0);
  std::deque<DmaPin> held;
  for (int count = 0; count != 38; ++count) held.push_back(pin(0, 1));
  EXPECT_EQ(pin_error(0, 3 * page), ENOMEM);
  EXPECT_EQ(space->pin_count(), 38U);
  const DmaPin span = pin(0, 2 * page);
  EXPECT_EQ(pin_error(0, 1), ENOMEM);
}

TEST_F(Seats, a_mapping_gives_its_share_back_when_it_goes) {
  for (int round = 0; round != 100; ++round) {
    ASSERT_EQ(map(0, page), 0);
    EXPECT_EQ(pin_error(0, 1), 0);
    Outcome<std::uint64_t> outcome;
    unmap(outcome, 0, page);
    ASSERT_EQ(outcome.value(), page);
  }
}

TEST_F(Seats, every_user_of_a_mapping_has_its_own) {
  std::deque<FakeDmaUser> others(5);
  for (FakeDmaUser& other : others) space->register_user(other);
  ASSERT_EQ(map(0, page), 0);
  for (int round = 0; round != 3; ++round) {
    std::deque<DmaPin> held;
    held.push_back(pin(0, 1));
    for (FakeDmaUser& other : others) held.push_back(space->pin(other, {0, 1}, Access::read).value());
    EXPECT_EQ(space->pin_count(), 6U);
    space->unregister_user(others[2]);
    EXPECT_EQ(space->pin_count(), 5U);
    EXPECT_TRUE(held[3].revoked());
    EXPECT_FALSE(held[4].revoked());
    space->register_user(others[2]);
    EXPECT_EQ(error_of(space->pin(others[2], {0, 1}, Access::read)), 0);
    EXPECT_TRUE(held[3].revoked());
  }
  Outcome<std::uint64_t> outcome;
  DmaPin last = space->pin(others[4], {0, 1}, Access::read).value();
  unmap(outcome, 0, page);
  EXPECT_FALSE(outcome.is_done());
  last.unpin();
  EXPECT_EQ(outcome.value(), page);
  for (FakeDmaUser& other : others) space->unregister_user(other);
}

TEST_F(Seats, a_user_may_be_in_two_spaces) {
  AddressSpace second(clock, limits);
  second.register_user(user);
  ASSERT_EQ(map(0, page), 0);
  ASSERT_TRUE(second.map({{8 * page, page}, Access::read, memory, page}));
  EXPECT_EQ(pin_error(0, 1), 0);
  EXPECT_EQ(error_of(second.pin(user, {8 * page, 1}, Access::read)), 0);
  EXPECT_EQ(error_of(second.pin(user, {0, 1}, Access::read)), EINVAL);
  space->unregister_user(user);
  EXPECT_EQ(pin_error(0, 1), EINVAL);
  EXPECT_EQ(error_of(second.pin(user, {8 * page, 1}, Access::read)), 0);
  second.unregister_user(user);
}

// A seat knows only so much of its mapping's size.
TEST_F(Seats, a_mapping_may_be_larger_than_16_tib) {
  constexpr std::uint64_t size = (std::uint64_t{1} << 44U) + 2 * page;
  class Endless final : public Backing {
   public:
    explicit Endless(std::byte* first) : first_(first) {}
    Bytes mapped() override { return {first_, size}; }

   private:
    std::byte* const first_;  // nobody looks behind it
  };
  std::byte first{};
  const auto offset_of = [&](const DmaPin& pin) {
    return reinterpret_cast<std::uintptr_t>(pin.segments().front().data) -
           reinterpret_cast<std::uintptr_t>(&first);
  };
  ASSERT_EQ(map_on(std::make_shared<Endless>(&first), page, size), 0);
  const DmaPin near = pin(page + 5, 1);
  EXPECT_EQ(offset_of(near), 5U);
  for (int round = 0; round != 3; ++round) {
    const DmaPin far = pin(size - 1, page);
    EXPECT_EQ(offset_of(far), size - page - 1);
    EXPECT_EQ(far.segments().front().length, page);
    EXPECT_EQ(space->pin_count(), 2U);
  }
  EXPECT_EQ(pin_error(size, 2 * page), EINVAL);
}

TEST_F(Seats, memory_that_went_bad_is_known_however_many_backings_there_are) {
  space->unregister_user(user);
  limits.mappings_per_container = 200;
  space = std::make_unique<AddressSpace>(clock, limits);
  space->register_user(user);
  for (int round = 0; round != 2; ++round) {
    std::vector<std::shared_ptr<MemoryBacking>> files;
    for (Iova number = 0; number != 100; ++number) {
      files.push_back(std::make_shared<MemoryBacking>(2 * page));
      ASSERT_EQ(map_on(files.back(), 2 * number * page, page), 0);
      ASSERT_EQ(map_on(files.back(), (2 * number + 1) * page, page, Access::read, page), 0);
    }
    for (Iova number = 0; number != 100; ++number) {
      EXPECT_EQ(pin_error(2 * number * page, 1), 0);
      EXPECT_EQ(pin_error((2 * number + 1) * page, 1), 0);
      files[number]->go_bad();
      EXPECT_EQ(pin_error(2 * number * page, 1), EFAULT) << number;
      EXPECT_EQ(pin_error((2 * number + 1) * page, 1), EFAULT) << number;
    }
    Outcome<std::uint64_t> outcome;
    unmap(outcome, 0, 0, UnmapRule::everything);
    EXPECT_EQ(outcome.value(), 200 * page);
  }
}

// Users that come and go, and pin, while mappings come and go.
TEST_F(Seats, users_race_each_other_and_unmaps) {
  std::atomic<bool> stop = false;
  std::vector<std::jthread> workers;
  for (unsigned seed = 1; seed != 4; ++seed) {
    workers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      while (!stop) {
        FakeDmaUser mine;
        space->register_user(mine);
        std::vector<DmaPin> held;
        for (int count = 0; count != 60; ++count) {
          const Iova at = random() % 8;
          auto result = space->pin(mine, {at * page, 1 + random() % (2 * page)}, Access::read);
          if (result) held.push_back(std::move(*result));
          if (held.size() > 20) held.erase(held.begin(), held.begin() + 15);
        }
        if (seed != 1) held.clear();  // the first one leaves its pins behind
        space->unregister_user(mine);
        for (const DmaPin& pin : held) EXPECT_TRUE(pin.revoked());
      }
    });
  }
  for (int round = 0; round != 200; ++round) {
    auto fresh = std::make_shared<MemoryBacking>(8 * page);
    for (Iova number = 0; number != 8; ++number) {
      ASSERT_EQ(map_on(fresh, number * page, page, Access::read, number * page), 0);
    }
    for (int wait = 0; wait != 20; ++wait) std::this_thread::yield();
    std::atomic<int> gone = 0;
    space->unmap({0, 8 * page}, UnmapRule::whole, [&](Result<std::uint64_t> bytes) {
      EXPECT_EQ(bytes.value_or(0), 8 * page);
      gone = 1;
    });
    while (gone == 0) std::this_thread::yield();
  }
  stop = true;
  workers.clear();
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_EQ(space->mapping_count(), 0U);
}

// --- what a log is told ---

class Log final : public DirtySink {
 public:
  std::uint64_t pinned(IovaRange range) override {
    pins.push_back(range);
    return pins.size();
  }
  void unpinned(IovaRange range, std::uint64_t cookie) override { unpins.emplace_back(range, cookie); }
  void written(IovaRange range) override { writes.push_back(range); }

  std::vector<IovaRange> pins;
  std::vector<std::pair<IovaRange, std::uint64_t>> unpins;
  std::vector<IovaRange> writes;
};

TEST_F(Seats, a_log_hears_of_pins_for_writing_and_of_writes) {
  ASSERT_EQ(map(0, 2 * page), 0);
  ASSERT_EQ(map(2 * page, page, Access::read_write, 8 * page), 0);
  DmaPin before = pin(5, 7, Access::read_write);
  DmaPin read_before = pin(5, 7, Access::read);
  const auto log = std::make_shared<Log>();
  space->set_dirty_sink(log);
  ASSERT_EQ(space->pinned_for_writing().size(), 1U);
  EXPECT_EQ(space->pinned_for_writing()[0].mapping, (IovaRange{0, 2 * page}));
  EXPECT_EQ(space->pinned_for_writing()[0].pins, 1U);

  DmaPin one = pin(page, 9, Access::write);
  DmaPin span = pin(2 * page - 1, 2, Access::read_write);
  DmaPin read = pin(0, 3 * page, Access::read);
  EXPECT_EQ(log->pins, (std::vector<IovaRange>{{page, 9}, {2 * page - 1, 2}}));
  before.unpin();
  span.unpin();
  one.unpin();
  read.unpin();
  read_before.unpin();
  EXPECT_EQ(log->unpins, (std::vector<std::pair<IovaRange, std::uint64_t>>{
                             {{5, 7}, 0}, {{2 * page - 1, 2}, 2}, {{page, 9}, 1}}));
  EXPECT_TRUE(space->pinned_for_writing().empty());

  EXPECT_EQ(write_error(3, 4), 0);
  EXPECT_EQ(write_error(2 * page - 1, 2), 0);
  EXPECT_EQ(read_error(3, 4), 0);
  EXPECT_EQ(write_error(8 * page, 1), EINVAL);
  EXPECT_EQ(log->writes, (std::vector<IovaRange>{{3, 4}, {2 * page - 1, 2}}));

  space->set_dirty_sink(nullptr);
  EXPECT_EQ(pin_error(0, 1, Access::write), 0);
  EXPECT_EQ(write_error(3, 4), 0);
  EXPECT_EQ(log->pins.size(), 2U);
  EXPECT_EQ(log->writes.size(), 2U);
}

}  // namespace
}  // namespace umdev::iommu
