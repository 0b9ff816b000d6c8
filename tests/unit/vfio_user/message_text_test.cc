// Messages for people.
#include "umdev/vfio_user/message_text.h"

#include <gtest/gtest.h>

#include <cstring>

#include "umdev/abi/vfio.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {
namespace {

abi::VfioUserHeader command(abi::VfioUserCommand number, std::uint32_t flags = 0) {
  return make_command(1, number, 0, flags);
}

template <typename... Parts>
std::vector<std::byte> join(const Parts&... parts) {
  std::vector<std::byte> bytes;
  (bytes.insert(bytes.end(), bytes_of(parts).begin(), bytes_of(parts).end()), ...);
  return bytes;
}

std::string text_of(abi::VfioUserCommand number, const std::vector<std::byte>& payload) {
  return describe_message(command(number), payload);
}

TEST(DescribeMessage, says_what_an_access_is_about) {
  const abi::VfioUserRegionAccess access{.offset = 0x10, .region = 7, .count = 2};
  EXPECT_EQ(text_of(abi::vfio_user_region_read, join(access)), "region 7, 0x10, 2 bytes");
  EXPECT_EQ(text_of(abi::vfio_user_region_write, join(access, std::uint16_t{0x1234})),
            "region 7, 0x10, 2 bytes: 34 12");
}

TEST(DescribeMessage, shows_the_beginning_of_many_data) {
  const abi::VfioUserDmaAccess access{.iova = 0x1000, .count = 17};
  const std::array<std::uint8_t, 17> data{};
  EXPECT_EQ(text_of(abi::vfio_user_dma_write, join(access, data)),
            "0x1000, 17 bytes: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ...");
}

TEST(DescribeMessage, names_flags_and_leaves_unknown_ones_as_numbers) {
  const abi::VfioUserDmaMap map{.argsz = 32, .flags = 0x13, .offset = 0, .iova = 0x1000, .size = 0x2000};
  EXPECT_EQ(text_of(abi::vfio_user_dma_map, join(map)),
            "0x1000, 0x2000 bytes, READ|WRITE|0x10, file offset 0x0");
  const abi::VfioUserIrqSet irqs{.argsz = 20, .flags = 0x24, .index = 2, .start = 1, .count = 3};
  EXPECT_EQ(text_of(abi::vfio_user_device_set_irqs, join(irqs)),
            "index 2, 3 vectors from 1, EVENTFD|TRIGGER");
  const abi::VfioUserFeature feature{.argsz = 8, .flags = (1U << 16) | 2};
  EXPECT_EQ(text_of(abi::vfio_user_device_feature, join(feature)), "GET of feature 2, argsz 8");
}

TEST(DescribeMessage, an_error_is_its_errno) {
  const auto header = make_error_reply(command(abi::vfio_user_region_read), EINVAL);
  EXPECT_EQ(describe_message(header, {}), "refused: EINVAL");
}

TEST(DescribeMessage, says_that_no_reply_is_wanted) {
  const auto header = command(abi::vfio_user_device_reset, abi::vfio_user_flags_no_reply);
  EXPECT_EQ(describe_message(header, {}), "no reply wanted");
}

TEST(DescribeMessage, a_version_shows_nothing_that_a_terminal_obeys) {
  const std::array<char, 8> text{'{', '\x1b', '[', '2', 'J', '\n', '}', '\0'};
  EXPECT_EQ(
      text_of(abi::vfio_user_version, join(abi::VfioUserVersion{.major_number = 0, .minor_number = 1}, text)),
      "0.1 {.[2J.}");
}

// Whatever a client sends: each command, both ways, cut at each length, filled with ones.
TEST(DescribeMessage, any_bytes_are_described_somehow) {
  const std::vector<std::byte> ones(64, std::byte{0xff});
  for (std::uint16_t number = 0; number < command_count + 2; ++number)
    for (const std::uint32_t flags : {0U, 1U, 0x21U, 0xffffffffU})
      for (std::size_t length = 0; length <= ones.size(); ++length) {
        const abi::VfioUserHeader header{
            .message_id = 0, .command = number, .size = 16, .flags = flags, .error = 0xffffffff};
        const std::string text = describe_message(header, ConstBytes(ones).first(length));
        EXPECT_LT(text.size(), 400U);
        for (const char each : text) EXPECT_TRUE(each >= ' ' && each <= '~');
      }
}

}  // namespace
}  // namespace umdev::vfio_user
