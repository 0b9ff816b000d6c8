#include "umdev/iommu/shared_backings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace umdev::iommu {
namespace {

// Only their addresses count.
const Backing* backing(std::uintptr_t number) {
  return reinterpret_cast<const Backing*>((number + 1) * 64);  // NOLINT(performance-no-int-to-ptr)
}

TEST(SharedBackings, mappings_of_one_backing_have_its_number) {
  SharedBackings backings;
  const std::uint32_t first = backings.enter(backing(0));
  const std::uint32_t second = backings.enter(backing(1));
  EXPECT_NE(first, 0U);
  EXPECT_NE(second, 0U);
  EXPECT_NE(first, second);
  EXPECT_EQ(backings.enter(backing(0)), first);
  EXPECT_EQ(backings.at(first), backing(0));
  EXPECT_EQ(backings.at(second), backing(1));
  EXPECT_EQ(backings.at(0), nullptr);
}

TEST(SharedBackings, a_number_is_kept_until_its_last_mapping_leaves) {
  SharedBackings backings;
  const std::uint32_t number = backings.enter(backing(0));
  backings.enter(backing(0));
  backings.leave(number);
  EXPECT_NE(backings.enter(backing(1)), number);
  backings.leave(number);
  EXPECT_EQ(backings.enter(backing(2)), number);
}

TEST(SharedBackings, one_too_many_has_no_number_until_another_has_left) {
  SharedBackings backings;
  for (std::uint32_t i = 1; i != SharedBackings::most; ++i) EXPECT_NE(backings.enter(backing(i)), 0U);
  EXPECT_EQ(backings.enter(backing(100)), 0U);
  backings.leave(0);
  backings.leave(7);
  EXPECT_EQ(backings.enter(backing(100)), 7U);
}

TEST(SharedBackings, numbers_are_those_of_a_model) {
  SharedBackings backings;
  std::map<const Backing*, std::uint32_t> numbers;
  std::vector<std::pair<const Backing*, std::uint32_t>> entered;
  std::mt19937 random(1);
  for (int step = 0; step != 20'000; ++step) {
    if (entered.empty() || random() % 100 < 52) {
      const Backing* const one = backing(random() % 80);
      const std::uint32_t number = backings.enter(one);
      const auto known = numbers.find(one);
      if (known != numbers.end()) {
        ASSERT_EQ(number, known->second);
      } else if (number == 0) {
        ASSERT_EQ(numbers.size(), SharedBackings::most - 1);
      } else {
        for (const auto& [other, taken] : numbers) ASSERT_NE(number, taken);
        numbers.emplace(one, number);
      }
      entered.emplace_back(one, number);
    } else {
      std::swap(entered[random() % entered.size()], entered.back());
      const auto [one, number] = entered.back();
      entered.pop_back();
      backings.leave(number);
      const bool last = std::ranges::none_of(
          entered, [&](const auto& other) { return other.first == one && other.second == number; });
      if (number != 0 && last) numbers.erase(one);
    }
    for (const auto& [one, number] : numbers) ASSERT_EQ(backings.at(number), one);
  }
}

}  // namespace
}  // namespace umdev::iommu
