#include "umdev/control/output.h"

#include <gtest/gtest.h>

#include "umdev/os/memfd.h"

namespace umdev::control {
namespace {

std::vector<os::UniqueFd> descriptors(std::size_t count) {
  std::vector<os::UniqueFd> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(os::create_memfd("descriptor", 1).value());
  return all;
}

TEST(Output, text_goes_in_one_piece_and_in_any_parts) {
  Output output;
  EXPECT_TRUE(output.empty());
  output.append("one");
  output.append("two");
  EXPECT_EQ(output.front().text, "onetwo");
  output.sent(4);
  EXPECT_EQ(output.size(), 2U);
  EXPECT_EQ(output.front().text, "wo");
  output.sent(2);
  EXPECT_TRUE(output.empty());
}

TEST(Output, a_message_with_descriptors_is_a_piece_of_its_own) {
  Output output;
  output.append("before");
  output.append("message", descriptors(2));
  output.append("next", descriptors(1));
  output.append("behind");
  EXPECT_EQ(output.front().text, "before");
  EXPECT_TRUE(output.front().fds.empty());
  output.sent(6);
  EXPECT_EQ(output.front().text, "message");
  EXPECT_EQ(output.front().fds.size(), 2U);
  output.sent(7);
  EXPECT_EQ(output.front().text, "next");
  EXPECT_EQ(output.front().fds.size(), 1U);
  output.sent(4);
  EXPECT_EQ(output.front().text, "behind");
  EXPECT_TRUE(output.front().fds.empty());
}

TEST(Output, descriptors_go_once_with_the_first_byte) {
  Output output;
  output.append("message", descriptors(1));
  output.append("behind");
  const int fd = output.front().fds[0];
  output.sent(3);
  EXPECT_EQ(output.front().text, "sage");
  EXPECT_TRUE(output.front().fds.empty());
  EXPECT_EQ(os::file_size(fd).error().code, EBADF);
  output.sent(4);
  EXPECT_EQ(output.front().text, "behind");
}

TEST(Output, what_waits_long_keeps_its_place) {
  Output output;
  const std::string large(100000, 'x');
  output.append(large);
  output.append("message", descriptors(1));
  output.sent(70000);
  output.sent(29999);
  EXPECT_EQ(output.front().text, "x");
  output.sent(1);
  EXPECT_EQ(output.front().text, "message");
  EXPECT_EQ(output.front().fds.size(), 1U);
}

}  // namespace
}  // namespace umdev::control
