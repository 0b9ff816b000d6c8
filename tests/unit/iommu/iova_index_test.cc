#include "umdev/iommu/iova_index.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <deque>
#include <map>
#include <random>
#include <thread>

namespace umdev::iommu {
namespace {

struct Value {
  std::atomic<Iova> first = 0;
};
using Index = IovaIndex<Value>;

std::vector<Iova> visited(const Index& index, Iova from) {
  std::vector<Iova> found;
  index.visit(from, [&](const Value& value) {
    found.push_back(value.first);
    return true;
  });
  return found;
}

TEST(IovaIndex, finds_what_begins_at_or_before) {
  Index index;
  EXPECT_EQ(index.at_or_before(UINT64_MAX), nullptr);
  Value low{100};
  Value high{UINT64_MAX - 1};
  index.insert(100, low);
  index.insert(UINT64_MAX - 1, high);
  EXPECT_EQ(index.at_or_before(99), nullptr);
  EXPECT_EQ(index.at_or_before(100), &low);
  EXPECT_EQ(index.at_or_before(UINT64_MAX - 2), &low);
  EXPECT_EQ(index.at_or_before(UINT64_MAX - 1), &high);
  EXPECT_EQ(index.at_or_before(UINT64_MAX), &high);
  index.erase(100);
  EXPECT_EQ(index.at_or_before(100), nullptr);
  index.erase(UINT64_MAX - 1);
  EXPECT_EQ(index.at_or_before(UINT64_MAX), nullptr);
  EXPECT_EQ(index.size(), 0U);
}

TEST(IovaIndex, a_visit_begins_at_or_before_and_ends_when_told) {
  Index index;
  std::vector<Value> values(300);
  for (std::size_t number = 0; number != values.size(); ++number) {
    values[number].first = 10 * number;
    index.insert(10 * number, values[number]);
  }
  EXPECT_EQ(visited(index, 2975), (std::vector<Iova>{2970, 2980, 2990}));
  EXPECT_EQ(visited(index, 0).size(), 300U);
  std::size_t seen = 0;
  index.visit(15, [&](const Value&) { return ++seen != 7; });
  EXPECT_EQ(seen, 7U);
}

// Inserts and erases against a map, in every order that spoils a tree: rising, falling, at random, thinned
// out.
TEST(IovaIndex, is_a_sorted_map) {
  rc::check([](std::uint32_t seed) {
    std::mt19937 random(seed);
    Index index;
    std::map<Iova, Value> model;
    const auto add = [&](Iova first) {
      const auto [entry, fresh] = model.try_emplace(first);
      if (!fresh) return;
      entry->second.first = first;
      index.insert(first, entry->second);
    };
    const auto remove_some = [&](std::uint64_t out_of) {
      for (auto entry = model.begin(); entry != model.end();) {
        const bool goes = random() % out_of != 0;
        if (goes) index.erase(entry->first);
        entry = goes ? model.erase(entry) : std::next(entry);
      }
    };
    const Iova start = 1U << 20U;
    // Distances of less than a page up to gigabytes.
    const Iova unit = std::array<Iova, 4>{1, page_size, 7 * page_size, 1U << 30U}[random() % 4];
    for (int phase = 0; phase != 4; ++phase) {
      const std::uint64_t order = random() % 3;
      for (Iova number = 0; number != 300; ++number) {
        add(unit * (order == 0 ? start + number * 3 : order == 1 ? start - number : random() % (2 * start)));
      }
      if (phase % 2 == 1) remove_some(1 + random() % 20);
      RC_ASSERT(index.size() == model.size());
      for (int probe = 0; probe != 100; ++probe) {
        const Iova iova = random() % (2 * start) * unit + random() % unit;
        const auto next = model.upper_bound(iova);
        RC_ASSERT(index.at_or_before(iova) == (next == model.begin() ? nullptr : &std::prev(next)->second));
      }
      std::vector<Iova> expected;
      for (const auto& [first, value] : model) expected.push_back(first);
      RC_ASSERT(visited(index, 0) == expected);
    }
  });
}

TEST(IovaIndex, what_lies_at_regular_distances_is_found_from_its_first_address_to_its_last) {
  for (const Iova distance : {page_size, 3 * page_size, 65536UL, 1UL << 30U, 1UL << 50U}) {
    Index index;
    std::deque<Value> values;
    for (Iova number = 0; number != 200; ++number) {
      values.emplace_back(number * distance);
      index.insert(number * distance, values.back());
    }
    for (const Value& value : values) {
      EXPECT_EQ(index.at_or_before(value.first), &value);
      EXPECT_EQ(index.at_or_before(value.first + distance - 1), &value);
    }
  }
}

TEST(IovaIndex, what_lies_at_regular_distances_is_guessed) {
  for (const Iova distance : {page_size, 3 * page_size, 65536UL, 1UL << 30U}) {
    Index index;
    EXPECT_EQ(index.guess(0), nullptr);
    std::deque<Value> values;
    for (Iova number = 1; number != 200; ++number) {
      values.emplace_back(number * distance);
      index.insert(number * distance, values.back());
    }
    EXPECT_EQ(index.guess(0), nullptr);
    for (const Value& value : values) EXPECT_EQ(index.guess(value.first), &value);
  }
}

// What stays is found at nearly every try while its neighbours come and go, and a hint is never nonsense.
TEST(IovaIndex, readers_go_on_while_it_changes) {
  constexpr Iova count = 512;
  Index index;
  std::vector<Value> values(count);
  for (Iova number = 0; number != count; ++number) values[number].first = number;
  for (Iova number = 0; number < count; number += 2) index.insert(number, values[number]);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> hits = 0;
  std::vector<std::jthread> readers;
  for (unsigned seed = 1; seed != 4; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      while (!stop) {
        const Iova wanted = random() % count / 2 * 2;
        const Value* const hint = index.at_or_before(wanted);
        if (hint == nullptr) continue;
        EXPECT_LT(hint->first, count);
        if (hint->first == wanted) hits.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (int round = 0; round != 20; ++round) {
    for (Iova number = 1; number < count; number += 2) index.insert(number, values[number]);
    for (Iova number = 1; number < count; number += 2) index.erase(number);
    const std::uint64_t before = hits;
    while (hits == before) std::this_thread::yield();
  }
  stop = true;
}

}  // namespace
}  // namespace umdev::iommu
