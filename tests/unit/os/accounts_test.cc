#include "umdev/os/accounts.h"

#include <gtest/gtest.h>

#include "tests/support/outcome.h"

namespace umdev::os {
namespace {

using test::error_of;

TEST(FindUser, Takes_names_and_numbers) {
  EXPECT_EQ(find_user("root"), 0U);
  EXPECT_EQ(find_user("0"), 0U);
  EXPECT_EQ(find_user("4294967294"), 4294967294U);
  EXPECT_EQ(find_group("root"), 0U);
  EXPECT_EQ(find_group("12"), 12U);
}

TEST(FindUser, Refuses_what_is_none) {
  for (const char* name : {"", "no such user", "-1", "4294967295", "4294967296", "99999999999999999999"}) {
    EXPECT_NE(error_of(find_user(name)), 0) << name;
    EXPECT_NE(error_of(find_group(name)), 0) << name;
  }
}

}  // namespace
}  // namespace umdev::os
