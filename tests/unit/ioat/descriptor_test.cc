// What can be wrong with a descriptor, whatever its addresses mean.
#include "drivers/ioat/descriptor.h"

#include <gtest/gtest.h>

#include <array>

namespace umdev::ioat {
namespace {

constexpr std::uint32_t fill = std::uint32_t{spec::operation_fill} << spec::control_operation_shift;

TEST(IoatDescriptor, is_64_bytes_little_endian) {
  std::array<std::byte, spec::descriptor_size> bytes{};
  for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<std::byte>(at + 1);
  const Descriptor descriptor = Descriptor::from(bytes);
  EXPECT_EQ(descriptor.size, 0x04030201U);
  EXPECT_EQ(descriptor.control, 0x08070605U);
  EXPECT_EQ(descriptor.source, 0x100f0e0d0c0b0a09U);
  EXPECT_EQ(descriptor.destination, 0x1817161514131211U);
  EXPECT_EQ(descriptor.next, 0x201f1e1d1c1b1a19U);
}

TEST(IoatDescriptor, errors_are_those_of_chanerr) {
  const struct {
    Descriptor descriptor;
    std::uint32_t error;
    const char* what;
  } rows[] = {
      {{.size = 1}, 0, "one byte"},
      {{.size = spec::transfer_max}, 0, "the largest transfer"},
      {{.size = 0}, spec::chanerr_length, "nothing"},
      {{.size = spec::transfer_max + 1}, spec::chanerr_length, "more than XFERCAP"},
      {{.size = ~0U}, spec::chanerr_length, "4 GiB"},
      {{.size = 0, .control = spec::control_null}, spec::chanerr_length, "a null descriptor needs a size"},
      {{.size = 1, .control = spec::control_null, .source = ~0ULL}, 0, "and nothing else"},
      {{.size = 8, .control = fill, .source = ~0ULL}, 0, "the source of a fill is its pattern"},
      {{.size = 8, .control = fill | spec::control_null}, spec::chanerr_control, "a null fill"},
      {{.size = 8, .control = 0x02000000}, spec::chanerr_control, "no such operation"},
      {{.size = 8, .control = 0x87000000}, spec::chanerr_control, "XOR, which is not offered"},
      {{.size = 8, .control = 0x00000800}, spec::chanerr_control, "a reserved bit"},
      {{.size = 8, .control = 0x00800000}, spec::chanerr_control, "another"},
      {{.size = 8, .control = 0x000007df}, 0, "every bit that has a meaning, but null"},
      {{.size = 8, .source = ~0ULL - 6}, spec::chanerr_src_addr, "the source wraps"},
      {{.size = 8, .source = ~0ULL - 8}, 0, "it does not"},
      {{.size = 8, .destination = ~0ULL - 6}, spec::chanerr_dest_addr, "the destination wraps"},
      {{.size = 8, .control = fill, .destination = ~0ULL}, spec::chanerr_dest_addr, "of a fill too"},
  };
  for (const auto& row : rows) EXPECT_EQ(row.descriptor.error(), row.error) << row.what;
}

TEST(IoatDescriptor, knows_whether_its_ranges_overlap) {
  EXPECT_TRUE((Descriptor{.size = 16, .source = 100, .destination = 100}).overlaps());
  EXPECT_TRUE((Descriptor{.size = 16, .source = 100, .destination = 115}).overlaps());
  EXPECT_TRUE((Descriptor{.size = 16, .source = 115, .destination = 100}).overlaps());
  EXPECT_FALSE((Descriptor{.size = 16, .source = 100, .destination = 116}).overlaps());
  EXPECT_FALSE((Descriptor{.size = 16, .source = 116, .destination = 100}).overlaps());
}

}  // namespace
}  // namespace umdev::ioat
