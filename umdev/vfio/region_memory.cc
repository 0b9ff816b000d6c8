#include "umdev/vfio/region_memory.h"

#include <cstring>

#include "umdev/vfio/device_file.h"

namespace umdev::vfio {
namespace {

bool covers_all(std::span<const MmapExtent> extents, std::uint64_t size) {
  return extents.size() == 1 && extents[0].region_offset == 0 && extents[0].length >= size;
}

bool has_capability(const CapabilityChain& chain, std::uint16_t id) {
  std::size_t offset = 0;
  do {
    const auto header = load_struct<abi::VfioInfoCapHeader>(chain.bytes(), offset);
    if (!header) return false;
    if (header->id == id) return true;
    if (header->next <= offset) return false;
    offset = header->next;
  } while (true);
}

}  // namespace

std::vector<MmapExtent> memory_of_region(DeviceFile& device, std::uint32_t index, const RegionInfo& region) {
  if ((region.flags & abi::vfio_region_info_flag_mmap) == 0) return {};
  const bool writable = (region.flags & abi::vfio_region_info_flag_write) != 0;
  auto extents = device.mmap({.region = index, .offset = 0, .length = region.size, .writable = writable});
  return extents ? std::move(*extents) : std::vector<MmapExtent>();
}

Result<> add_mmap_areas(RegionInfo& region, std::span<const MmapExtent> extents) {
  if (covers_all(extents, region.size) ||
      has_capability(region.capabilities, abi::vfio_region_info_cap_sparse_mmap))
    return {};
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
  CapabilityChain longer = region.capabilities;
  UMDEV_TRY(longer.add(abi::vfio_region_info_cap_sparse_mmap, 1, payload));
  region.capabilities = std::move(longer);
  return {};
}

Result<RegionInfo> region_with_memory(DeviceFile& device, std::uint32_t index) {
  RegionInfo region = UMDEV_TRY(device.region_info(index));
  const auto extents = memory_of_region(device, index, region);
  if (extents.empty() || !add_mmap_areas(region, extents)) region.flags &= ~abi::vfio_region_info_flag_mmap;
  return region;
}

}  // namespace umdev::vfio
