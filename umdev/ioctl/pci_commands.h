// The commands that vfio-pci has beside those of every device: VFIO_DEVICE_IOEVENTFD, GET_PCI_HOT_RESET_INFO,
// PCI_HOT_RESET. For functions that are on a PCI bus of the tree; everything else is ENOTTY, as of an mdev.
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/iommufd_binding.h"

namespace umdev::ioctl {

// An open device, and by which iommufd; null for one that a group's container gives memory to.
struct PciCommand {
  std::shared_ptr<const World> world;
  std::shared_ptr<vfio::DeviceFile> device;
  std::shared_ptr<vfio::IommufdBinding> binding;
};

Result<> set_io_event(const PciCommand& command, Caller& caller, UserAddress argument);
// The functions of the device's slot are reset together.
Result<> get_hot_reset_info(const PciCommand& command, Caller& caller, UserAddress argument);
void hot_reset(const PciCommand& command, Caller& caller, UserAddress argument, Done<Answer> done);

}  // namespace umdev::ioctl
