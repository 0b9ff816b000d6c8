// A device whose regions and interrupts never change, as constant data.
#pragma once

#include <cstdint>
#include <span>

#include "umdev/abi/vfio.h"
#include "umdev/vfio/device.h"

namespace umdev::vfio {

// Where a region begins in the device's file.
constexpr std::uint64_t region_offset(std::uint32_t index) {
  return std::uint64_t{index} << abi::vfio_pci_offset_shift;
}

// A region by its index in the table; size 0 for one that the device does not implement. `flags` are
// abi::vfio_region_info_flag_read, _write, _mmap.
struct TableRegion {
  std::uint32_t flags = 0;
  std::uint64_t size = 0;
};

// Answers of the info calls. A value that refers to arrays which must outlive it (constexpr ones, as a rule):
//
//   constexpr std::array<vfio::TableRegion, 8> regions{{{read_write, 4096}, ...}};
//   constexpr std::array<vfio::IrqInfo, 1> irqs{{{eventfd, 1}}};
//   constexpr vfio::DeviceTable table{abi::vfio_device_flags_pci, regions, irqs};
//
// An interrupt index inside the table with a count of 0 is answered so (a client sees that it is not
// implemented); beyond the end of a table everything is EINVAL. No capabilities: a device that has some
// overrides region_info().
struct DeviceTable {
  std::uint32_t flags = 0;  // abi::vfio_device_flags_*
  std::span<const TableRegion> regions;
  std::span<const IrqInfo> irqs;

  DeviceInfo info() const;
  Result<RegionInfo> region_info(std::uint32_t index) const;
  Result<IrqInfo> irq_info(std::uint32_t index) const;
};

}  // namespace umdev::vfio
