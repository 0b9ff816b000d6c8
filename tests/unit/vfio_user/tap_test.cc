// What passes, as tracers are told of it.
#include "umdev/vfio_user/tap.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/test_host.h"
#include "umdev/abi/vfio_user.h"
#include "umdev/vfio_user/outbox.h"

namespace umdev::vfio_user {
namespace {

std::vector<std::byte> bytes_from(unsigned first, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

TEST(Tap, is_off_until_somebody_subscribes) {
  Tap tap;
  EXPECT_FALSE(tap.is_on());
  const auto messages = tap.subscribe(4, {});
  EXPECT_TRUE(tap.is_on());
}

TEST(Tap, tells_a_message_as_it_was_in_one_piece) {
  test::ManualClock clock;
  const auto tap = std::make_shared<Tap>();
  const TapLine line = TapLine::of(tap, clock);
  auto messages = tap->subscribe(4, {});
  line.message(true, {bytes_from(1, 3), bytes_from(4, 2)}, 2);
  const auto message = messages.next().value();
  EXPECT_EQ(message->bytes, bytes_from(1, 5));
  EXPECT_EQ(message->size, 5U);
  EXPECT_EQ(message->session, 1U);
  EXPECT_TRUE(message->from_client);
  EXPECT_EQ(message->descriptors, 2U);
  EXPECT_EQ(message->time, clock.now());
}

TEST(Tap, keeps_the_first_bytes_of_a_long_message) {
  Tap tap;
  auto messages = tap.subscribe(4, {});
  tap.record(Time(), 1, false,
             {std::vector<std::byte>(16), bytes_from(0, 2 * Tap::kept_bytes), bytes_from(0, 5)}, 0);
  const auto message = messages.next().value();
  EXPECT_EQ(message->bytes.size(), Tap::kept_bytes);
  EXPECT_EQ(message->size, 16 + 2 * Tap::kept_bytes + 5);
}

TEST(Tap, believes_the_header_where_the_end_went_elsewhere) {
  Tap tap;
  auto messages = tap.subscribe(4, {});
  const abi::VfioUserHeader header{.message_id = 1, .command = 11, .size = 4096, .flags = 1, .error = 0};
  tap.record(Time(), 1, true, {bytes_of(header), bytes_from(0, 16)}, 0);
  const auto message = messages.next().value();
  EXPECT_EQ(message->bytes.size(), 32U);
  EXPECT_EQ(message->size, 4096U);
}

TEST(Tap, who_does_not_read_loses_messages_and_is_told) {
  Tap tap;
  auto messages = tap.subscribe(2, {});
  for (unsigned i = 0; i < 5; ++i) tap.record(Time(), 1, true, {bytes_from(i, 1)}, 0);
  EXPECT_EQ(messages.next().value()->bytes, bytes_from(0, 1));
  EXPECT_EQ(messages.next().value()->bytes, bytes_from(1, 1));
  EXPECT_EQ(messages.next().error().code, ENOBUFS);
  EXPECT_EQ(messages.lost(), 3U);
}

TEST(Tap, sees_what_is_put_into_an_outbox) {
  test::ManualClock clock;
  const auto tap = std::make_shared<Tap>();
  auto messages = tap->subscribe(4, {});
  Outbox outbox;
  outbox.set_tap({.tap = tap, .session = 7, .clock = &clock});
  outbox.send({bytes_from(0, 16), bytes_from(16, 4)});
  const auto message = messages.next().value();
  EXPECT_EQ(message->bytes, bytes_from(0, 20));
  EXPECT_FALSE(message->from_client);
  EXPECT_EQ(message->session, 7U);
}

TEST(Tap, a_line_to_no_tap_tells_nobody) {
  TapLine().message(true, {bytes_from(0, 16)}, 0);
}

}  // namespace
}  // namespace umdev::vfio_user
