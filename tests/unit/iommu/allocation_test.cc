// The fast path allocates nothing and takes no lock.
#include <gtest/gtest.h>

#include "tests/support/counters/counters.h"
#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

using test::counts_of_this_thread;

class Allocations : public SpaceTest {
  void SetUp() override {
    if (!test::counters_count) GTEST_SKIP() << "a sanitizer has a heap of its own";
  }
};

TEST_F(Allocations, a_pin_in_one_mapping_needs_none_and_no_lock) {
  ASSERT_EQ(map(0, 2 * page), 0);
  ASSERT_EQ(map(8 * page, page), 0);
  const test::Counts before = counts_of_this_thread();
  for (Iova iova = 0; iova != 2 * page; iova += 512) {
    Result<DmaPin> first = space->pin(user, {iova, 512}, Access::read_write);
    DmaPin moved = std::move(*first);
    Result<DmaPin> elsewhere = space->pin(user, {8 * page, 512}, Access::read);
  }
  const test::Counts used = counts_of_this_thread() - before;
  EXPECT_EQ(used.allocations, 0U);
  EXPECT_EQ(used.locks, 0U);
}

TEST_F(Allocations, a_copy_in_one_mapping_needs_none_and_no_lock) {
  ASSERT_EQ(map(0, 2 * page), 0);
  std::vector<std::byte> bytes(64);
  Outcome<> read;
  Outcome<> written;
  const test::Counts before = counts_of_this_thread();
  space->read(page - 32, bytes, read.done());
  space->write(page - 32, bytes, written.done());
  const test::Counts used = counts_of_this_thread() - before;
  EXPECT_EQ(used.allocations, 0U);
  EXPECT_EQ(used.locks, 0U);
  EXPECT_TRUE(read.succeeded());
  EXPECT_TRUE(written.succeeded());
}

TEST_F(Allocations, are_counted_at_all) {
  const test::Counts before = counts_of_this_thread();
  EXPECT_EQ(map(0, page), 0);
  const test::Counts used = counts_of_this_thread() - before;
  EXPECT_GT(used.allocations, 0U);
  EXPECT_GT(used.locks, 0U);
}

}  // namespace
}  // namespace umdev::iommu
