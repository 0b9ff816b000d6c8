#include "umdev/vfio_user/messages.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/vfio_user/wire.h"
#include "umdev/abi/vfio.h"

namespace umdev::vfio_user {
namespace {

using test::join;
using test::Octets;

// Every fixed structure, with the function that reads it.
using Decoder = int (*)(ConstBytes);
template <auto decode>
int code_of(ConstBytes payload) {
  const auto result = decode(payload);
  return result ? 0 : result.error().code;
}
struct FixedCase {
  const char* name;
  Decoder decode;
  std::size_t size;
};
const FixedCase fixed_cases[] = {
    {"DMA_MAP", code_of<decode_dma_map>, sizeof(abi::VfioUserDmaMap)},
    {"DMA_UNMAP", code_of<decode_dma_unmap>, sizeof(abi::VfioUserDmaUnmap)},
    {"GET_INFO", code_of<decode_device_info>, sizeof(abi::VfioUserDeviceInfo)},
    {"REGION_INFO", code_of<decode_region_info>, sizeof(abi::VfioUserRegionInfo)},
    {"IRQ_INFO", code_of<decode_irq_info>, sizeof(abi::VfioUserIrqInfo)},
    {"SET_IRQS", code_of<decode_irq_set>, sizeof(abi::VfioUserIrqSet)},
};

Octets with_argsz(std::size_t size, std::uint32_t argsz) {
  Octets bytes(size);
  if (size >= sizeof argsz) std::memcpy(bytes.data(), &argsz, sizeof argsz);
  return bytes;
}

TEST(Messages, payloads_shorter_than_their_structure_are_einval) {
  for (const FixedCase& each : fixed_cases) {
    for (std::size_t size = 0; size < each.size; ++size)
      EXPECT_EQ(each.decode(with_argsz(size, 1000)), EINVAL) << each.name << " " << size;
    EXPECT_EQ(each.decode(with_argsz(each.size, 1000)), 0) << each.name;
  }
}

TEST(Messages, argsz_below_the_structure_is_einval) {
  for (const FixedCase& each : fixed_cases) {
    const auto least = static_cast<std::uint32_t>(each.size);
    EXPECT_EQ(each.decode(with_argsz(each.size, least)), 0) << each.name;
    EXPECT_EQ(each.decode(with_argsz(each.size, least - 1)), EINVAL) << each.name;
    EXPECT_EQ(each.decode(with_argsz(each.size, 0)), EINVAL) << each.name;
  }
}

TEST(Messages, fields_come_through) {
  const abi::VfioUserDmaMap map{.argsz = 32, .flags = 3, .offset = 0x1000, .iova = 0x2000, .size = 0x3000};
  const auto decoded = decode_dma_map(bytes_of(map));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->offset, 0x1000u);
  EXPECT_EQ(decoded->iova, 0x2000u);
  EXPECT_EQ(decoded->size, 0x3000u);
  EXPECT_EQ(decoded->flags, 3u);
}

TEST(Messages, dma_flags_that_this_wire_does_not_have_are_einval) {
  for (std::uint32_t bit = 2; bit < 32; ++bit) {
    const abi::VfioUserDmaMap map{.argsz = 32, .flags = 1U << bit, .offset = 0, .iova = 0, .size = 4096};
    EXPECT_EQ(code_of<decode_dma_map>(bytes_of(map)), EINVAL) << bit;
    const abi::VfioUserDmaUnmap unmap{.argsz = 24, .flags = 1U << bit, .iova = 0, .size = 4096};
    EXPECT_EQ(code_of<decode_dma_unmap>(bytes_of(unmap)), EINVAL) << bit;
  }
}

TEST(Messages, irq_data_is_what_follows) {
  const abi::VfioUserIrqSet fixed{.argsz = 20, .flags = 0x22, .index = 2, .start = 0, .count = 3};
  const Octets data(3, std::byte{1});
  const auto decoded = decode_irq_set(join({bytes_of(fixed), data}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->bools.size(), 3u);
  EXPECT_EQ(decoded->fixed.index, 2u);
}

TEST(Messages, a_write_has_exactly_the_data_it_says) {
  const abi::VfioUserRegionAccess fixed{.offset = 1, .region = 2, .count = 4};
  for (std::size_t size = 0; size < 10; ++size) {
    const Octets payload = join({bytes_of(fixed), Octets(size)});
    const auto decoded = decode_region_write(payload, 1U << 20);
    EXPECT_EQ(decoded.has_value(), size == 4) << size;
    if (!decoded) {
      EXPECT_EQ(decoded.error().code, EINVAL);
    }
  }
}

TEST(Messages, more_data_than_negotiated_is_e2big) {
  const abi::VfioUserRegionAccess fixed{.offset = 0, .region = 0, .count = 65};
  EXPECT_EQ(decode_region_read(bytes_of(fixed), 64).error().code, E2BIG);
  EXPECT_TRUE(decode_region_read(bytes_of(fixed), 65));
  EXPECT_EQ(decode_region_write(join({bytes_of(fixed), Octets(65)}), 64).error().code, E2BIG);
}

TEST(Messages, replies_echo_the_request) {
  const abi::VfioUserHeader request = make_command(4242, abi::vfio_user_region_read, 16);
  const abi::VfioUserHeader reply = make_reply(request, 20);
  EXPECT_EQ(reply.message_id, 4242);
  EXPECT_EQ(reply.command, abi::vfio_user_region_read);
  EXPECT_EQ(reply.size, 36u);
  EXPECT_EQ(reply.flags, abi::vfio_user_flags_type_reply);
  EXPECT_TRUE(result_of(reply));
}

TEST(Messages, error_replies_are_bare_headers_of_type_reply) {
  const abi::VfioUserHeader request = make_command(1, abi::vfio_user_dma_map, 32);
  const abi::VfioUserHeader reply = make_error_reply(request, ENOSPC);
  EXPECT_EQ(reply.size, sizeof reply);
  EXPECT_TRUE(is_reply(reply));
  EXPECT_EQ(result_of(reply).error().code, ENOSPC);
}

TEST(Messages, an_errno_that_is_none_is_eproto) {
  abi::VfioUserHeader reply = make_error_reply(make_command(1, abi::vfio_user_dma_map, 0), 0);
  EXPECT_EQ(result_of(reply).error().code, EPROTO);
  reply.error = 4096;
  EXPECT_EQ(result_of(reply).error().code, EPROTO);
}

TEST(Messages, every_command_has_its_name) {
  EXPECT_EQ(command_name(abi::vfio_user_version), "VERSION");
  EXPECT_EQ(command_name(abi::vfio_user_device_reset), "RESET");
  EXPECT_EQ(command_name(abi::vfio_user_mig_data_write), "MIG_DATA_WRITE");
  EXPECT_EQ(command_name(0), "unknown");
  EXPECT_EQ(command_name(19), "unknown");
  EXPECT_EQ(command_name(UINT16_MAX), "unknown");
}

RC_GTEST_PROP(MessagesProperty, any_bytes_are_decoded_or_refused, (const std::vector<std::uint8_t>& raw)) {
  const ConstBytes payload = std::as_bytes(std::span(raw));
  for (const FixedCase& each : fixed_cases) {
    const int code = each.decode(payload);
    RC_ASSERT(code == 0 || code == EINVAL);
  }
  if (const auto write = decode_region_write(payload, 64)) {
    RC_ASSERT(write->fixed.count <= 64u);
    RC_ASSERT(write->data.size() == write->fixed.count);
  }
}

}  // namespace
}  // namespace umdev::vfio_user
