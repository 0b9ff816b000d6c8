// Unmaps against pins, users that unpin late, from several threads at once.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <random>
#include <thread>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

using Threads = SpaceTest;

// Waits for an unmap as a program would that may block.
std::uint64_t unmap_and_wait(AddressSpace& space, IovaRange range) {
  std::promise<std::uint64_t> promise;
  space.unmap(range, UnmapRule::whole,
              [&](Result<std::uint64_t> result) { promise.set_value(result.value_or(UINT64_MAX)); });
  return promise.get_future().get();
}

TEST_F(Threads, C37_a_user_may_unpin_from_another_thread_50_ms_later) {
  ASSERT_EQ(map(0, page), 0);
  DmaPin held = pin(0, 1);
  std::atomic<bool> unpinned = false;
  std::jthread worker;
  user.on_dma_unmap = [&](IovaRange) {
    worker = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      unpinned = true;
      held.unpin();
    });
  };
  EXPECT_EQ(unmap_and_wait(*space, {0, page}), page);
  EXPECT_TRUE(unpinned);
  EXPECT_TRUE(memory->revoked().empty());
}

TEST_F(Threads, C37_unmap_races_pins) {
  constexpr int rounds = 300;
  constexpr Iova window = 4;
  limits.pins_per_user = 1000;
  AddressSpace raced(clock, limits);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> pinned = 0;
  std::latch ready(5);

  const auto worker = [&](unsigned seed) {
    FakeDmaUser mine;
    raced.register_user(mine);
    std::minstd_rand random(seed);
    std::vector<DmaPin> held;
    ready.arrive_and_wait();
    while (!stop) {
      const Iova first = random() % window;
      const std::uint64_t size = 1 + random() % ((window - first) * page);
      Result<DmaPin> result = raced.pin(mine, {first * page, size}, Access::read);
      if (result) {
        EXPECT_FALSE(result->revoked());
        held.push_back(std::move(*result));
        pinned.fetch_add(1, std::memory_order_relaxed);
      } else {
        EXPECT_EQ(result.error().code, EINVAL);
      }
      if (held.size() > 3 || !result) held.clear();
      if (!result) std::this_thread::yield();
    }
    held.clear();
    raced.unregister_user(mine);
  };
  std::vector<std::jthread> workers;
  for (unsigned seed = 1; seed != 5; ++seed) workers.emplace_back(worker, seed);
  ready.arrive_and_wait();
  // Several mappings, so that pins span what goes and what stays.
  for (int round = 0; round != rounds; ++round) {
    for (Iova number = 0; number != window; ++number) {
      ASSERT_TRUE(raced.map({{number * page, page}, Access::read, memory, number * page}));
    }
    if (round % 8 == 0) {
      const std::uint64_t before = pinned;
      while (pinned == before) std::this_thread::yield();
    }
    for (Iova number = 0; number != window; ++number) {
      ASSERT_EQ(unmap_and_wait(raced, {number * page, page}), page);
    }
  }
  stop = true;
  workers.clear();
  EXPECT_EQ(raced.mapping_count(), 0U);
  EXPECT_EQ(raced.pin_count(), 0U);
  EXPECT_TRUE(memory->revoked().empty());
  EXPECT_EQ(clock.pending_timers(), 0U);
}

TEST_F(Threads, unmap_races_copies) {
  constexpr int rounds = 300;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> copied = 0;
  std::vector<std::jthread> readers;
  for (int index = 0; index != 3; ++index) {
    readers.emplace_back([&] {
      std::vector<std::byte> into(2 * page);
      while (!stop) {
        space->read(0, into, [&](Result<> result) {
          if (result) copied.fetch_add(1, std::memory_order_relaxed);
          if (!result) {
            EXPECT_EQ(result.error().code, EINVAL);
          }
        });
      }
    });
  }
  for (int round = 0; round != rounds; ++round) {
    ASSERT_EQ(map(0, page), 0);
    ASSERT_EQ(map(page, page, Access::read, 3 * page), 0);
    if (round % 8 == 0) {
      const std::uint64_t before = copied;
      while (copied == before) std::this_thread::yield();
    }
    ASSERT_EQ(unmap_and_wait(*space, {0, 2 * page}), 2 * page);
  }
  stop = true;
}

TEST_F(Threads, overlapping_unmaps_share_the_mappings_between_them) {
  for (int round = 0; round != 200; ++round) {
    ASSERT_EQ(map(0, page), 0);
    ASSERT_EQ(map(page, page), 0);
    DmaPin held = pin(0, 2 * page);
    std::atomic<std::uint64_t> bytes = 0;
    {
      const auto unmap_all = [&] { bytes += unmap_and_wait(*space, {0, 2 * page}); };
      std::jthread first(unmap_all);
      std::jthread second(unmap_all);
      std::jthread unpinner([&] { held.unpin(); });
    }
    EXPECT_EQ(bytes, 2 * page);
    ASSERT_EQ(space->mapping_count(), 0U);
  }
}

TEST_F(Threads, unregistering_waits_for_a_callback_on_another_thread) {
  ASSERT_EQ(map(0, page), 0);
  std::atomic<bool> inside = false;
  std::atomic<bool> left = false;
  FakeDmaUser slow;
  slow.on_dma_unmap = [&](IovaRange) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
  };
  space->register_user(slow);
  std::jthread unmapper([&] { EXPECT_EQ(unmap_and_wait(*space, {0, page}), page); });
  while (!inside) std::this_thread::yield();
  space->unregister_user(slow);
  EXPECT_TRUE(left);
}

TEST_F(Threads, the_deadline_races_the_last_unpin) {
  for (int round = 0; round != 200; ++round) {
    auto backing = std::make_shared<MemoryBacking>(page);
    ASSERT_EQ(map_on(backing, 0, page), 0);
    DmaPin held = pin(0, 1);
    std::atomic<int> completions = 0;
    space->unmap({0, page}, UnmapRule::whole, [&](Result<std::uint64_t> result) {
      EXPECT_EQ(result.value_or(0), page);
      ++completions;
    });
    {
      std::jthread unpinner([&] { held.unpin(); });
      std::jthread timer([&] { clock.advance(limits.unmap_deadline); });
    }
    EXPECT_EQ(completions, 1);
    ASSERT_EQ(space->mapping_count(), 0U);
    EXPECT_EQ(space->pin_count(), 0U);
  }
}

}  // namespace
}  // namespace umdev::iommu
