// VFIO_DEVICE_FEATURE, between a caller's memory and DeviceFile::feature().
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/device_file.h"

namespace umdev::ioctl {

// The structures are the kernel's: where one ends in a pointer (DMA logging), what it points to is fetched
// and written too. A transfer that begins is answered as a new file, whose number goes into the structure.
void feature_command(const std::shared_ptr<const World>& world,
                     const std::shared_ptr<vfio::DeviceFile>& device, UserAddress argument,
                     std::shared_ptr<Caller> caller, Done<Answer> done);

}  // namespace umdev::ioctl
