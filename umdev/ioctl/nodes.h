// The nodes of /dev that the VFIO user API begins with, and how they are opened.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/ioctl/caller.h"
#include "umdev/ioctl/file.h"
#include "umdev/ioctl/profile.h"

namespace umdev::vfio {
class Core;
}

namespace umdev::ioctl {

// What all files that were opened through one Nodes have in common.
struct World;

// Any thread. The core must outlive it and every file that was opened through it.
class Nodes {
 public:
  explicit Nodes(vfio::Core& core, Profile profile = Profile::linux_7_2);
  ~Nodes();

  // open() of /dev/vfio/vfio.
  std::shared_ptr<File> open_container(const Credentials& credentials);
  // open() of /dev/vfio/N (or noiommu-N), N being the IOMMU group's number. ENODEV no such group; EPERM a
  // no-iommu group without CAP_SYS_RAWIO; EBUSY it is open already, or one of its devices is bound to an
  // iommufd.
  Result<std::shared_ptr<File>> open_group(std::uint32_t number, const Credentials& credentials);
  // open() of /dev/vfio/devices/vfioN. ENODEV no such device, or a kernel that has no such nodes.
  Result<std::shared_ptr<File>> open_device(std::uint32_t index, const Credentials& credentials);
  // open() of /dev/iommu. ENODEV a kernel that has none.
  Result<std::shared_ptr<File>> open_iommufd(const Credentials& credentials);

 private:
  const std::shared_ptr<const World> world_;
};

}  // namespace umdev::ioctl
