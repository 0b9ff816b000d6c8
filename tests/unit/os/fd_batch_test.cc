#include "umdev/os/fd_batch.h"

#include <gtest/gtest.h>

#include "tests/unit/os/fixtures.h"

namespace umdev::os {
namespace {

UniqueFd open_null() {
  return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

TEST(FdBatch, keeps_order_and_index) {
  FdBatch batch;
  std::array<int, 3> numbers{};
  for (int& number : numbers) {
    UniqueFd fd = open_null();
    number = fd.get();
    batch.push(std::move(fd));
  }
  EXPECT_EQ(batch.size(), 3U);
  const UniqueFd taken = batch.take(1);
  EXPECT_EQ(taken.get(), numbers[1]);
  EXPECT_EQ(batch.get(0), numbers[0]);
  EXPECT_EQ(batch.get(1), -1);
  EXPECT_EQ(batch.get(2), numbers[2]);
  EXPECT_EQ(batch.get(3), -1);
  EXPECT_FALSE(batch.take(99));
}

TEST(FdBatch, closes_what_does_not_fit_and_says_so) {
  const std::size_t before = count_open_fds();
  {
    FdBatch batch;
    for (std::size_t index = 0; index < FdBatch::capacity; ++index) batch.push(open_null());
    EXPECT_FALSE(batch.lost());
    batch.push(open_null());
    EXPECT_TRUE(batch.lost());
    EXPECT_EQ(batch.size(), FdBatch::capacity);
    EXPECT_EQ(batch.room(), 0U);
    EXPECT_EQ(count_open_fds(), before + FdBatch::capacity);
    batch.clear();
    EXPECT_FALSE(batch.lost());
    EXPECT_EQ(count_open_fds(), before);
    batch.push(open_null());
  }
  EXPECT_EQ(count_open_fds(), before);
}

TEST(FdBatch, moving_closes_the_target_and_empties_the_source) {
  const std::size_t before = count_open_fds();
  FdBatch first;
  FdBatch second;
  first.push(open_null());
  const int number = first.get(0);
  first.set_lost();
  second.push(open_null());
  second.push(open_null());
  second = std::move(first);
  EXPECT_EQ(second.size(), 1U);
  EXPECT_EQ(second.get(0), number);
  EXPECT_TRUE(second.lost());
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_FALSE(first.lost());
  EXPECT_EQ(count_open_fds(), before + 1);
  second.clear();
  EXPECT_EQ(count_open_fds(), before);
}

}  // namespace
}  // namespace umdev::os
