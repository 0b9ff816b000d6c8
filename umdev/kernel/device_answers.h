// What a module's device says of itself when it is asked as its users would ask it.
#pragma once

#include <cstdint>
#include <vector>

#include "umdev/kernel/call.h"
#include "umdev/vfio/device.h"

namespace umdev::kernel {

class VfioRecord;

struct DeviceAnswers {
  std::uint32_t flags = 0;
  std::vector<Result<vfio::RegionInfo>> regions;
  std::vector<vfio::IrqInfo> irqs;
};

// The driver's ioctl with this argument as its user's memory. EINVAL: it has none; ENODEV: its parent has
// removed the device. Inside a call for the device, as ask_device().
Result<long> call_ioctl(VfioRecord& record, Call& call, unsigned command, Bytes argument);

// What the driver's ioctl does with a command of its user, as call_ioctl(); where the kernel has another
// callback for the command (VFIO_DEVICE_GET_REGION_INFO, from 7.0 on), by that, without capabilities.
Result<long> ask_command(VfioRecord& record, Call& call, unsigned command, Bytes argument);

// VFIO_DEVICE_GET_INFO, and of each region and interrupt. Regions are asked for by get_region_info_caps()
// where there is one, else by ioctl. EIO: more than makes sense.
Result<DeviceAnswers> ask_device(VfioRecord& record, Call& call);

}  // namespace umdev::kernel
