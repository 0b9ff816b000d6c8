#include "umdev/vfio_user/wire_region.h"

#include <cstring>
#include <optional>

#include "umdev/abi/vfio.h"
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

bool covers_all(std::span<const MmapExtent> extents, std::uint64_t size) {
  return extents.size() == 1 && extents[0].region_offset == 0 && extents[0].length >= size;
}

bool has_capability(const vfio::CapabilityChain& chain, std::uint16_t id) {
  std::size_t offset = 0;
  do {
    const auto header = load_struct<abi::VfioInfoCapHeader>(chain.bytes(), offset);
    if (!header) return false;
    if (header->id == id) return true;
    if (header->next <= offset) return false;
    offset = header->next;
  } while (true);
}

// VFIO_REGION_INFO_CAP_SPARSE_MMAP
Result<> add_sparse_areas(vfio::CapabilityChain& chain, std::span<const MmapExtent> extents) {
  std::vector<std::byte> payload(2 * sizeof(std::uint32_t) +
                                 extents.size() * sizeof(abi::VfioRegionSparseMmapArea));
  const auto count = static_cast<std::uint32_t>(extents.size());
  std::memcpy(payload.data(), &count, sizeof count);
  std::byte* at = payload.data() + 2 * sizeof(std::uint32_t);
  for (const MmapExtent& extent : extents) {
    const abi::VfioRegionSparseMmapArea area{.offset = extent.region_offset, .size = extent.length};
    std::memcpy(at, &area, sizeof area);
    at += sizeof area;
  }
  return chain.add(abi::vfio_region_info_cap_sparse_mmap, 1, payload);
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
  vfio::CapabilityChain chain = region.capabilities;
  const bool mappable = (region.flags & abi::vfio_region_info_flag_mmap) != 0;
  auto offset = mappable ? offset_in_file(extents) : std::nullopt;
  if (offset && !covers_all(extents, region.size) &&
      !has_capability(chain, abi::vfio_region_info_cap_sparse_mmap) && !add_sparse_areas(chain, extents)) {
    chain = region.capabilities;
    offset.reset();
  }
  if (offset) {
    static_assert(quirks::region_offset_is_of_descriptor);
    wire.info.offset = *offset;
    wire.fd = extents[0].fd;
  } else {
    wire.info.flags &= ~abi::vfio_region_info_flag_mmap;
  }
  if (!chain.empty()) {
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
