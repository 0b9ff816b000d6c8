#include "umdev/vfio_user/wire_region.h"

#include <optional>

#include "umdev/abi/vfio.h"
#include "umdev/vfio/region_memory.h"
#include "umdev/vfio_user/quirks.h"

namespace umdev::vfio_user {
namespace {

using vfio::MmapExtent;

// Where the region begins in the one file that all of it lies in; nothing when it does not.
std::optional<std::uint64_t> offset_in_file(std::span<const MmapExtent> extents) {
  if (extents.empty() || extents[0].fd < 0 || extents[0].fd_offset < extents[0].region_offset)
    return std::nullopt;
  const std::uint64_t offset = extents[0].fd_offset - extents[0].region_offset;
  for (const MmapExtent& extent : extents)
    if (extent.fd != extents[0].fd || extent.fd_offset - offset != extent.region_offset) return std::nullopt;
  return offset;
}

}  // namespace

WireRegion make_wire_region(std::uint32_t index, const vfio::RegionInfo& region,
                            std::span<const MmapExtent> extents) {
  WireRegion wire{.info = {.argsz = 0,
                           .flags = region.flags & ~abi::vfio_region_info_flag_caps,
                           .index = index,
                           .cap_offset = 0,
                           .size = region.size,
                           .offset = 0},
                  .capabilities = {}};
  vfio::RegionInfo described = region;
  const bool mappable = (region.flags & abi::vfio_region_info_flag_mmap) != 0;
  auto offset = mappable ? offset_in_file(extents) : std::nullopt;
  if (offset && !vfio::add_mmap_areas(described, extents)) offset.reset();
  if (offset) {
    static_assert(quirks::region_offset_is_of_descriptor);
    wire.info.offset = *offset;
    wire.fd = extents[0].fd;
  } else {
    wire.info.flags &= ~abi::vfio_region_info_flag_mmap;
  }
  if (const auto& chain = described.capabilities; !chain.empty()) {
    wire.info.flags |= abi::vfio_region_info_flag_caps;
    wire.info.cap_offset = sizeof wire.info;
    wire.capabilities = chain.shifted(sizeof wire.info);
  }
  wire.info.argsz = static_cast<std::uint32_t>(sizeof wire.info + wire.capabilities.size());
  return wire;
}

RegionReply fit_region_reply(const WireRegion& region, std::uint32_t argsz) {
  RegionReply reply{.info = region.info, .capabilities = region.capabilities, .with_fd = region.fd >= 0};
  if (argsz >= region.info.argsz) return reply;
  reply.capabilities = {};
  reply.info.cap_offset = 0;
  if (!quirks::short_region_info_says_caps) reply.info.flags &= ~abi::vfio_region_info_flag_caps;
  reply.with_fd = reply.with_fd && quirks::short_region_info_has_descriptor;
  return reply;
}

}  // namespace umdev::vfio_user
