#include "umdev/control/line_buffer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace umdev::control {
namespace {

TEST(LineBuffer, A_line_is_given_when_its_newline_has_come) {
  LineBuffer buffer(100);
  buffer.append("ab");
  EXPECT_EQ(buffer.next(), std::nullopt);
  buffer.append("c\nd");
  EXPECT_EQ(buffer.next(), "abc");
  EXPECT_EQ(buffer.next(), std::nullopt);
  buffer.append("\n\n");
  EXPECT_EQ(buffer.next(), "d");
  EXPECT_EQ(buffer.next(), "");
  EXPECT_EQ(buffer.next(), std::nullopt);
}

TEST(LineBuffer, A_line_that_has_begun_overflows_above_the_limit) {
  LineBuffer buffer(4);
  buffer.append("x\nabcd");
  EXPECT_EQ(buffer.next(), "x");
  EXPECT_EQ(buffer.next(), std::nullopt);
  EXPECT_FALSE(buffer.overflows());
  buffer.append("e");
  EXPECT_EQ(buffer.next(), std::nullopt);
  EXPECT_TRUE(buffer.overflows());
}

TEST(LineBuffer, It_says_where_the_last_line_begins_that_came) {
  LineBuffer buffer(100);
  EXPECT_EQ(buffer.append("one"), 0U);
  EXPECT_EQ(buffer.append(" more\n"), std::nullopt) << "none begins here";
  EXPECT_EQ(buffer.append("two\nthree\nfo"), 19U);
  EXPECT_EQ(buffer.position(), 0U);
  ASSERT_EQ(buffer.next(), "one more");
  EXPECT_EQ(buffer.position(), 9U);
  ASSERT_EQ(buffer.next(), "two");
  EXPECT_EQ(buffer.append("ur\n"), std::nullopt);
  ASSERT_EQ(buffer.next(), "three");
  EXPECT_EQ(buffer.position(), 19U);
  ASSERT_EQ(buffer.next(), "four");
  EXPECT_EQ(buffer.append("\n"), 24U);
  buffer.clear();
  EXPECT_EQ(buffer.append("x"), 25U);
}

TEST(LineBuffer, Lines_do_not_depend_on_how_the_bytes_came) {
  rc::check([](const std::vector<std::string>& pieces) {
    LineBuffer buffer(1 << 20);
    std::string all;
    std::vector<std::string> lines;
    for (std::string piece : pieces) {
      if (*rc::gen::inRange(0, 2) == 1) piece += '\n';
      all += piece;
      buffer.append(piece);
      while (const auto line = buffer.next()) lines.emplace_back(*line);
    }
    std::vector<std::string> expected;
    std::size_t begin = 0;
    for (std::size_t end; (end = all.find('\n', begin)) != std::string::npos; begin = end + 1)
      expected.push_back(all.substr(begin, end - begin));
    RC_ASSERT(lines == expected);
  });
}

}  // namespace
}  // namespace umdev::control
