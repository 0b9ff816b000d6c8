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

std::vector<os::UniqueFd> list_of(os::UniqueFd fd) {
  std::vector<os::UniqueFd> list;
  list.push_back(std::move(fd));
  return list;
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
  outbox.send({bytes_of_text("bcd")}, list_of(std::move(fd)));
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
  outbox.send({bytes_of_text("x")}, list_of(some_fd()));
  outbox.sent(0);
  EXPECT_EQ(outbox.front().fds.size(), 1u);
}

TEST(Outbox, many_messages_with_descriptors_keep_their_order) {
  Outbox outbox;
  for (char letter = 'a'; letter <= 'e'; ++letter)
    outbox.send({bytes_of_text(std::string_view(&letter, 1))}, list_of(some_fd()));
  for (char letter = 'a'; letter <= 'e'; ++letter) {
    EXPECT_EQ(text_of(outbox.front().bytes), std::string_view(&letter, 1));
    EXPECT_EQ(outbox.front().fds.size(), 1u);
    outbox.sent(1);
  }
  EXPECT_TRUE(outbox.empty());
}

TEST(Outbox, several_descriptors_go_together) {
  Outbox outbox;
  auto fds = list_of(some_fd());
  fds.push_back(some_fd());
  outbox.send({bytes_of_text("ab")}, std::move(fds));
  EXPECT_EQ(outbox.front().fds.size(), 2u);
  outbox.sent(1);
  EXPECT_TRUE(outbox.front().fds.empty());
}

// --- Bodies that are not copied.

TEST(Outbox, a_borrowed_body_goes_behind_its_message_from_where_it_is) {
  const std::string body = "body";
  Outbox outbox;
  outbox.send({bytes_of_text("a")});
  outbox.send_borrowed({bytes_of_text("head")}, bytes_of_text(body));
  outbox.send({bytes_of_text("z")});
  EXPECT_EQ(outbox.size(), 10u);
  EXPECT_EQ(text_of(outbox.front().bytes), "a");
  outbox.sent(1);
  EXPECT_EQ(text_of(outbox.front().bytes), "head");
  EXPECT_EQ(outbox.front().body.data(), bytes_of_text(body).data());
  EXPECT_EQ(outbox.front().size(), 8u);
  outbox.sent(2);
  EXPECT_EQ(text_of(outbox.front().bytes), "ad");
  outbox.sent(3);
  EXPECT_TRUE(outbox.front().bytes.empty());
  EXPECT_EQ(text_of(outbox.front().body), "ody");
  outbox.sent(3);
  EXPECT_EQ(text_of(outbox.front().bytes), "z");
  outbox.sent(1);
  EXPECT_TRUE(outbox.empty());
}

TEST(Outbox, a_body_whose_owner_leaves_is_kept) {
  std::string body = "0123456789";
  Outbox outbox;
  outbox.send_borrowed({bytes_of_text("h")}, bytes_of_text(body).first(5));
  outbox.send_borrowed({bytes_of_text("h")}, bytes_of_text(body).last(5));
  const std::string other = "other";
  outbox.send_borrowed({bytes_of_text("h")}, bytes_of_text(other));
  outbox.sent(3);
  outbox.keep(bytes_of_text(body));
  body.assign(10, 'x');
  EXPECT_EQ(text_of(outbox.front().body), "234");
  outbox.sent(3);
  EXPECT_EQ(text_of(outbox.front().body), "56789");
  outbox.sent(6);
  EXPECT_EQ(outbox.front().body.data(), bytes_of_text(other).data());
}

// --- To another place.

TEST(Outbox, what_was_not_sent_is_sent_from_another_place_with_its_descriptors) {
  const std::string body = "body";
  Outbox here;
  here.send({bytes_of_text("abc")});
  auto fds = list_of(some_fd());
  fds.push_back(some_fd());
  here.send({bytes_of_text("de")}, std::move(fds));
  here.send_borrowed({bytes_of_text("f")}, bytes_of_text(body));
  here.send({bytes_of_text("g")});
  here.sent(1);
  auto pieces = here.copy();
  ASSERT_TRUE(pieces);
  Outbox there;
  there.restore(*std::move(pieces));
  EXPECT_EQ(there.size(), here.size());
  EXPECT_EQ(text_of(there.front().bytes), "bc");
  EXPECT_TRUE(there.front().fds.empty());
  there.sent(2);
  EXPECT_EQ(text_of(there.front().bytes), "de");
  ASSERT_EQ(there.front().fds.size(), 2u);
  for (const int fd : there.front().fds) EXPECT_NE(::fcntl(fd, F_GETFD), -1);
  there.sent(2);
  EXPECT_EQ(text_of(there.front().bytes), "fbodyg");
  there.sent(6);
  EXPECT_TRUE(there.empty());
  // They were copies: here nothing has changed.
  EXPECT_EQ(text_of(here.front().bytes), "bc");
  here.sent(2);
  EXPECT_EQ(here.front().fds.size(), 2u);
}

TEST(Outbox, what_went_is_forgotten_also_while_something_always_waits) {
  const std::string body(100, 'b');
  Outbox outbox;
  outbox.send_borrowed({bytes_of_text("head")}, bytes_of_text(body));
  for (int i = 0; i < 100000; ++i) {
    outbox.send_borrowed({bytes_of_text("head")}, bytes_of_text(body));
    ASSERT_EQ(outbox.front().size(), 104u);
    outbox.sent(104);
  }
  EXPECT_EQ(outbox.size(), 104u);
  EXPECT_LT(outbox.memory(), 200000u);
}

}  // namespace
}  // namespace umdev::vfio_user
