#include "umdev/vfio/device_table.h"

namespace umdev::vfio {

DeviceInfo DeviceTable::info() const {
  return {.flags = flags,
          .num_regions = static_cast<std::uint32_t>(regions.size()),
          .num_irqs = static_cast<std::uint32_t>(irqs.size()),
          .capabilities = {}};
}

Result<RegionInfo> DeviceTable::region_info(std::uint32_t index) const {
  if (index >= regions.size()) return fail(EINVAL, "the device has no such region");
  return RegionInfo{.flags = regions[index].flags,
                    .size = regions[index].size,
                    .offset = region_offset(index),
                    .capabilities = {}};
}

Result<IrqInfo> DeviceTable::irq_info(std::uint32_t index) const {
  if (index >= irqs.size()) return fail(EINVAL, "the device has no such interrupt index");
  return irqs[index];
}

}  // namespace umdev::vfio
