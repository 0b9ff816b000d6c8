#include "umdev/manage/ownership.h"

#include <gtest/gtest.h>

namespace umdev::manage {
namespace {

TEST(MayChange, Ones_own_and_everything_for_root_and_the_daemons_user) {
  EXPECT_TRUE(may_change(1000, 1000, 500));
  EXPECT_TRUE(may_change(0, 1000, 500));
  EXPECT_TRUE(may_change(500, 1000, 500));
  EXPECT_FALSE(may_change(1001, 1000, 500));
  EXPECT_FALSE(may_change(1001, 0, 500));
  EXPECT_FALSE(may_change(1001, 500, 500));
}

TEST(ParseMark, Takes_what_was_formatted) {
  for (const Mark& mark : {Mark{.uid = 0, .set = {}}, Mark{.uid = 4294967295U, .set = "ci-1.a_b"}})
    EXPECT_EQ(parse_mark(format_mark(mark)), mark);
}

TEST(ParseMark, Refuses_what_is_none) {
  for (const char* text : {"", "[]", "{}", R"({"uid":-1})", R"({"uid":4294967296})", R"({"uid":"0"})",
                           R"({"uid":1,"set":""})", R"({"uid":1,"set":5})", R"({"uid":1,"set":"a/b"})"})
    EXPECT_FALSE(parse_mark(text)) << text;
}

TEST(IsSetName, Is_a_word) {
  for (const char* name : {"ci", "rack-1.lab_A"}) EXPECT_TRUE(is_set_name(name));
  for (const std::string& name : {std::string(), std::string("-x"), std::string(".x"), std::string("a b"),
                                  std::string("a/b"), std::string("\xc3\xa4"), std::string(65, 'a')})
    EXPECT_FALSE(is_set_name(name)) << name;
}

}  // namespace
}  // namespace umdev::manage
