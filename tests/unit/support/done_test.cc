#include "umdev/support/done.h"

#include <gtest/gtest.h>

#include <optional>

namespace umdev {
namespace {

TEST(Done, delivers_its_result_once) {
  std::optional<Result<int>> seen;
  Done<int> done([&](Result<int> result) { seen = result; });
  done(7);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->value(), 7);
  EXPECT_FALSE(done);
}

TEST(Done, completes_with_ecanceled_when_dropped) {
  std::optional<int> code;
  {
    Done<> done([&](Result<> result) { code = result.error().code; });
  }
  EXPECT_EQ(code, ECANCELED);
}

TEST(Done, moved_from_is_empty_and_says_nothing) {
  int calls = 0;
  Done<> done([&](Result<>) { ++calls; });
  Done<> other = std::move(done);
  EXPECT_FALSE(done);  // NOLINT(bugprone-use-after-move): that is the point
  other();
  EXPECT_EQ(calls, 1);
}

TEST(DoneDeathTest, completing_twice_is_an_assertion) {
  Done<> done([](Result<>) {});
  done();
  EXPECT_DEATH(done(), "completed twice");
}

}  // namespace
}  // namespace umdev
