#include "umdev/vfio_user/wire_region.h"

#include <gtest/gtest.h>

#include "umdev/abi/vfio.h"

namespace umdev::vfio_user {
namespace {

using vfio::MmapExtent;

constexpr std::uint32_t mappable =
    abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write | abi::vfio_region_info_flag_mmap;

vfio::RegionInfo region(std::uint32_t flags, std::uint64_t size) {
  return {.flags = flags, .size = size, .offset = 7ULL << 40, .capabilities = {}};
}

TEST(WireRegion, a_region_that_cannot_be_mapped_is_32_bytes_without_offset) {
  const WireRegion wire = make_wire_region(3, region(3, 64), {});
  EXPECT_EQ(wire.info.argsz, 32u);
  EXPECT_EQ(wire.info.index, 3u);
  EXPECT_EQ(wire.info.flags, 3u);
  EXPECT_EQ(wire.info.cap_offset, 0u);
  EXPECT_EQ(wire.info.offset, 0u) << "the kernel's offset means nothing here";
  EXPECT_EQ(wire.fd, -1);
}

TEST(WireRegion, a_whole_mapping_needs_no_capability) {
  const MmapExtent extents[] = {{.fd = 5, .fd_offset = 0x3000, .region_offset = 0, .length = 0x2000}};
  const WireRegion wire = make_wire_region(0, region(mappable, 0x2000), extents);
  EXPECT_EQ(wire.info.argsz, 32u);
  EXPECT_EQ(wire.info.flags, mappable);
  EXPECT_EQ(wire.info.offset, 0x3000u);
  EXPECT_EQ(wire.fd, 5);
}

TEST(WireRegion, holes_make_a_sparse_capability) {
  const MmapExtent extents[] = {{.fd = 5, .fd_offset = 0x1000, .region_offset = 0, .length = 0x1000},
                                {.fd = 5, .fd_offset = 0x3000, .region_offset = 0x2000, .length = 0x1000}};
  const WireRegion wire = make_wire_region(0, region(mappable, 0x4000), extents);
  EXPECT_EQ(wire.info.flags, mappable | abi::vfio_region_info_flag_caps);
  EXPECT_EQ(wire.info.cap_offset, 32u);
  EXPECT_EQ(wire.info.argsz, 32u + 8 + 8 + 2 * 16);
  EXPECT_EQ(wire.info.offset, 0x1000u);
  const auto header = load_struct<abi::VfioInfoCapHeader>(wire.capabilities);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->id, abi::vfio_region_info_cap_sparse_mmap);
  EXPECT_EQ(header->next, 0u);
  EXPECT_EQ(load_le<std::uint32_t>(wire.capabilities, 8), 2u);
  EXPECT_EQ(load_le<std::uint64_t>(wire.capabilities, 32), 0x2000u);
}

TEST(WireRegion, memory_that_the_wire_cannot_say_is_not_mappable) {
  const MmapExtent two_files[] = {{.fd = 5, .fd_offset = 0, .region_offset = 0, .length = 0x1000},
                                  {.fd = 6, .fd_offset = 0x1000, .region_offset = 0x1000, .length = 0x1000}};
  const MmapExtent other_order[] = {{.fd = 5, .fd_offset = 0x1000, .region_offset = 0, .length = 0x1000},
                                    {.fd = 5, .fd_offset = 0, .region_offset = 0x1000, .length = 0x1000}};
  const MmapExtent before_the_file[] = {{.fd = 5, .fd_offset = 0, .region_offset = 0x1000, .length = 0x1000}};
  const MmapExtent no_file[] = {{.fd = -1, .fd_offset = 0, .region_offset = 0, .length = 0x2000}};
  const std::span<const MmapExtent> cases[] = {two_files, other_order, before_the_file, no_file, {}};
  for (const auto& extents : cases) {
    const WireRegion wire = make_wire_region(0, region(mappable, 0x2000), extents);
    EXPECT_EQ(wire.info.flags, 3u);
    EXPECT_EQ(wire.info.argsz, 32u);
    EXPECT_EQ(wire.fd, -1);
  }
}

// QEMU takes FLAG_CAPS with cap_offset 0 for a broken device.
TEST(WireRegion, a_short_answer_says_neither_caps_nor_descriptor) {
  const MmapExtent extents[] = {{.fd = 5, .fd_offset = 0, .region_offset = 0, .length = 0x1000}};
  const WireRegion wire = make_wire_region(0, region(mappable, 0x4000), extents);
  for (std::uint32_t argsz = 32; argsz < wire.info.argsz; ++argsz) {
    const RegionReply reply = fit_region_reply(wire, argsz);
    EXPECT_EQ(reply.info.flags, mappable);
    EXPECT_EQ(reply.info.cap_offset, 0u);
    EXPECT_EQ(reply.info.argsz, wire.info.argsz) << "so that the client asks again";
    EXPECT_TRUE(reply.capabilities.empty());
    EXPECT_FALSE(reply.with_fd);
  }
  const RegionReply whole = fit_region_reply(wire, wire.info.argsz);
  EXPECT_NE(whole.info.flags & abi::vfio_region_info_flag_caps, 0u);
  EXPECT_TRUE(whole.with_fd);
  EXPECT_EQ(whole.capabilities.size(), wire.capabilities.size());
}

TEST(WireRegion, the_devices_own_capabilities_are_kept) {
  vfio::RegionInfo info = region(mappable, 0x2000);
  const std::uint32_t payload[] = {1, 2};
  ASSERT_TRUE(info.capabilities.add(abi::vfio_region_info_cap_type, 1, std::as_bytes(std::span(payload))));
  const MmapExtent extents[] = {{.fd = 5, .fd_offset = 0, .region_offset = 0, .length = 0x1000}};
  const WireRegion wire = make_wire_region(0, info, extents);
  const auto first = load_struct<abi::VfioInfoCapHeader>(wire.capabilities);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, abi::vfio_region_info_cap_type);
  ASSERT_GE(first->next, 32u);
  const auto second = load_struct<abi::VfioInfoCapHeader>(wire.capabilities, first->next - 32);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->id, abi::vfio_region_info_cap_sparse_mmap);
}

}  // namespace
}  // namespace umdev::vfio_user
