#include "umdev/support/id_allocator.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace umdev {
namespace {

TEST(IdAllocator, C3_takes_the_smallest_free_number) {
  IdAllocator ids(8);
  EXPECT_EQ(ids.allocate(), 0U);
  EXPECT_EQ(ids.allocate(), 1U);
  EXPECT_EQ(ids.allocate(), 2U);
  ids.release(1);
  EXPECT_EQ(ids.allocate(), 1U);
  EXPECT_EQ(ids.allocate(), 3U);
}

TEST(IdAllocator, enospc_at_the_limit) {
  IdAllocator ids(2);
  EXPECT_TRUE(ids.allocate());
  EXPECT_TRUE(ids.allocate());
  EXPECT_EQ(ids.allocate().error().code, ENOSPC);
  ids.release(0);
  EXPECT_EQ(ids.allocate(), 0U);
}

RC_GTEST_PROP(IdAllocator, behaves_as_a_set_of_numbers, (const std::vector<std::uint8_t>& steps)) {
  IdAllocator ids(16);
  std::set<std::uint32_t> taken;
  for (const std::uint8_t step : steps) {
    if (step % 3 == 0 && !taken.empty()) {
      const auto victim = std::next(taken.begin(), step % taken.size());
      ids.release(*victim);
      taken.erase(victim);
    } else {
      std::uint32_t expected = 0;
      while (taken.contains(expected)) ++expected;
      const auto id = ids.allocate();
      RC_ASSERT(id.has_value() == (expected < 16));
      if (id) {
        RC_ASSERT(*id == expected);
        taken.insert(*id);
      }
    }
    RC_ASSERT(ids.in_use() == taken.size());
  }
}

}  // namespace
}  // namespace umdev
