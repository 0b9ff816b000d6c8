#include "umdev/support/parse.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/support/outcome.h"

namespace umdev {
namespace {

using test::error_of;

TEST(ParseNumber, takes_what_kstrtoul_takes) {
  for (const auto& [text, value] : std::initializer_list<std::pair<const char*, unsigned long>>{
           {"0", 0}, {"7\n", 7}, {"+12", 12}, {"0x1F", 31}, {"0X1f\n", 31}, {"017", 15}, {"65536", 65536}})
    EXPECT_EQ(parse_number(text).value(), value) << text;
  for (const char* text : {"", "\n", "x", "-1", "1 2", " 1", "1\n\n", "0x", "08", "++1"})
    EXPECT_EQ(error_of(parse_number(text)), EINVAL) << text;
  EXPECT_EQ(error_of(parse_number("99999999999999999999")), ERANGE);
}

TEST(ParseBool, goes_by_the_first_letters) {
  for (const char* text : {"1", "y", "Yes", "true", "on", "ON\n"})
    EXPECT_TRUE(parse_bool(text).value()) << text;
  for (const char* text : {"0", "n", "No", "false", "off", "oF"})
    EXPECT_FALSE(parse_bool(text).value()) << text;
  for (const char* text : {"", "o", "ox", "2", "\n"}) EXPECT_EQ(error_of(parse_bool(text)), EINVAL) << text;
}

}  // namespace
}  // namespace umdev
