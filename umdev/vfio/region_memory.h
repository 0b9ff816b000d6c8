// The memory behind a region, as every door tells it to its user.
#pragma once

#include <span>
#include <vector>

#include "umdev/vfio/device.h"

namespace umdev::vfio {

class DeviceFile;

// What a user may map of a region: empty for one that cannot be mapped, or whose device now says that it
// cannot. An extent without a descriptor is registers: each access to the mapping is a read or a write of the
// device, for doors that can do it.
std::vector<MmapExtent> memory_of_region(DeviceFile& device, std::uint32_t index, const RegionInfo& region);

// Adds VFIO_REGION_INFO_CAP_SPARSE_MMAP to the region's capabilities where the extents are not all of it,
// unless it has one already. ENOMEM: the capabilities are too long; the region's are then as they were.
Result<> add_mmap_areas(RegionInfo& region, std::span<const MmapExtent> extents);

// VFIO_DEVICE_GET_REGION_INFO of a door whose user maps the device's own file: MMAP only where there is
// memory, and the areas. The errors of DeviceFile::region_info.
Result<RegionInfo> region_with_memory(DeviceFile& device, std::uint32_t index);

}  // namespace umdev::vfio
