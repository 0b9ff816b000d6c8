// The commands of an open device, but for VFIO_DEVICE_FEATURE (feature_command.h).
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/ioctl/file.h"
#include "umdev/vfio/device_file.h"

namespace umdev::ioctl {

Result<> get_device_info(const vfio::DeviceFile& device, Caller& caller, UserAddress argument);
// A region that can be mapped in part says so (SPARSE_MMAP), one that cannot be mapped after all is none.
Result<> get_region_info(vfio::DeviceFile& device, Caller& caller, UserAddress argument);
Result<> get_irq_info(const vfio::DeviceFile& device, Caller& caller, UserAddress argument);
Result<> set_irqs(vfio::DeviceFile& device, bool is_pci, Caller& caller, UserAddress argument);
void reset(const std::shared_ptr<vfio::DeviceFile>& device, Done<Answer> done);
// What only the device itself may know. Its argument is a structure that begins with argsz, which it may
// write.
Result<Answer> other_command(vfio::DeviceFile& device, std::uint32_t command, Caller& caller,
                             UserAddress argument);

}  // namespace umdev::ioctl
