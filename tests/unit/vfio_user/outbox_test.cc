#include "umdev/vfio_user/outbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/unit/vfio_user/wire.h"

namespace umdev::vfio_user {
namespace {

using test::bytes_of_text;

std::string_view text_of(ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

os::UniqueFd some_fd() {
  return os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(Outbox, messages_without_descriptors_go_in_one_piece) {
  Outbox outbox;
  outbox.send({bytes_of_text("one"), bytes_of_text("two")});
  outbox.send({bytes_of_text("three")});
  EXPECT_EQ(text_of(outbox.front().bytes), "onetwothree");
  outbox.sent(4);
  EXPECT_EQ(text_of(outbox.front().bytes), "wothree");
  outbox.sent(7);
  EXPECT_TRUE(outbox.empty());
}

TEST(Outbox, a_message_with_a_descriptor_is_a_piece_of_its_own) {
  Outbox outbox;
  outbox.send({bytes_of_text("a")});
  os::UniqueFd fd = some_fd();
  const int number = fd.get();
  outbox.send({bytes_of_text("bcd")}, std::move(fd));
  outbox.send({bytes_of_text("e")});

  EXPECT_EQ(text_of(outbox.front().bytes), "a");
  EXPECT_TRUE(outbox.front().fds.empty());
  outbox.sent(1);
  ASSERT_EQ(outbox.front().fds.size(), 1u);
  EXPECT_EQ(outbox.front().fds[0], number);
  EXPECT_EQ(text_of(outbox.front().bytes), "bcd");
  outbox.sent(1);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1) << "it went with the first byte";
  EXPECT_EQ(text_of(outbox.front().bytes), "cd");
  EXPECT_TRUE(outbox.front().fds.empty()) << "a descriptor is sent once";
  outbox.sent(2);
  EXPECT_EQ(text_of(outbox.front().bytes), "e");
  outbox.sent(1);
  EXPECT_TRUE(outbox.empty());
}

TEST(Outbox, nothing_sent_keeps_the_descriptor) {
  Outbox outbox;
  outbox.send({bytes_of_text("x")}, some_fd());
  outbox.sent(0);
  EXPECT_EQ(outbox.front().fds.size(), 1u);
}

TEST(Outbox, many_messages_with_descriptors_keep_their_order) {
  Outbox outbox;
  for (char letter = 'a'; letter <= 'e'; ++letter)
    outbox.send({bytes_of_text(std::string_view(&letter, 1))}, some_fd());
  for (char letter = 'a'; letter <= 'e'; ++letter) {
    EXPECT_EQ(text_of(outbox.front().bytes), std::string_view(&letter, 1));
    EXPECT_EQ(outbox.front().fds.size(), 1u);
    outbox.sent(1);
  }
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace umdev::vfio_user
