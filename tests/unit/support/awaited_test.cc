#include "umdev/support/awaited.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "umdev/support/done.h"

namespace umdev {
namespace {

using namespace std::chrono_literals;

TEST(Awaited, what_is_over_already_is_not_waited_for) {
  Awaited<int> number;
  EXPECT_FALSE(number.is_over());
  number.complete(5);
  EXPECT_TRUE(number.is_over());
  EXPECT_EQ(number.wait().value(), 5);
}

TEST(Awaited, an_error_is_an_outcome) {
  Awaited<> work;
  work.complete(fail(EBUSY, "somebody uses it"));
  EXPECT_EQ(work.wait().error().code, EBUSY);
}

TEST(Awaited, what_was_dropped_is_over) {
  const auto work = std::make_shared<Awaited<>>();
  {
    const Done<> dropped([work](Result<> outcome) { work->complete(outcome); });
  }
  EXPECT_EQ(work->wait().error().code, ECANCELED);
}

TEST(Awaited, a_limit_ends_the_waiting_and_not_the_work) {
  Awaited<std::unique_ptr<int>> number;
  EXPECT_FALSE(number.wait_for(1us));
  EXPECT_FALSE(number.is_over());
  number.complete(std::make_unique<int>(7));
  const auto outcome = number.wait_for(1us);
  ASSERT_TRUE(outcome && *outcome);
  EXPECT_EQ(***outcome, 7);
}

}  // namespace
}  // namespace umdev
