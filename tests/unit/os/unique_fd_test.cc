#include "umdev/os/unique_fd.h"

#include <gtest/gtest.h>

#include "tests/unit/os/fixtures.h"

namespace umdev::os {
namespace {

UniqueFd open_null() {
  return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

TEST(UniqueFd, closes_at_its_end) {
  int number = -1;
  {
    const UniqueFd fd = open_null();
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, empty_is_minus_one_and_false) {
  const UniqueFd fd;
  EXPECT_EQ(fd.get(), -1);
  EXPECT_FALSE(fd);
}

TEST(UniqueFd, moving_leaves_the_source_empty_and_closes_the_target) {
  UniqueFd first = open_null();
  UniqueFd second = open_null();
  const int kept = first.get();
  const int closed = second.get();
  second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_EQ(second.get(), kept);
  EXPECT_TRUE(is_open(kept));
  EXPECT_FALSE(is_open(closed));
}

TEST(UniqueFd, release_gives_up_without_closing) {
  UniqueFd fd = open_null();
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(UniqueFd, dup_is_close_on_exec_and_independent) {
  UniqueFd fd = open_null();
  auto copy = fd.dup();
  ASSERT_TRUE(copy);
  EXPECT_TRUE(is_close_on_exec(copy->get()));
  fd.reset();
  EXPECT_TRUE(is_open(copy->get()));
}

TEST(UniqueFd, dup_of_nothing_is_ebadf) {
  EXPECT_EQ(UniqueFd().dup().error().code, EBADF);
  EXPECT_EQ(duplicate(-1).error().code, EBADF);
}

TEST(UniqueFd, closing_keeps_errno) {
  UniqueFd fd = open_null();
  errno = EDOM;
  fd.reset();
  EXPECT_EQ(errno, EDOM);
}

TEST(UniqueFdDeathTest, a_stranger_that_closes_it_is_an_assertion) {
  EXPECT_DEATH(
      {
        UniqueFd fd = open_null();
        ::close(fd.get());
        fd.reset();
      },
      "closed by someone else");
}

}  // namespace
}  // namespace umdev::os
