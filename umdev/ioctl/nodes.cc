#include "umdev/ioctl/nodes.h"

#include "umdev/ioctl/container_file.h"
#include "umdev/ioctl/device_node.h"
#include "umdev/ioctl/group_file.h"
#include "umdev/ioctl/iommufd_file.h"
#include "umdev/ioctl/world.h"
#include "umdev/vfio/core.h"

namespace umdev::ioctl {

Nodes::Nodes(vfio::Core& core, Profile profile)
    : world_(std::make_shared<const World>(World{.core = core, .profile = profile})) {}

Nodes::~Nodes() = default;

std::shared_ptr<File> Nodes::open_container(const Credentials& credentials) {
  return std::make_shared<ContainerFile>(world_,
                                         world_->core.open_container({.sys_rawio = credentials.sys_rawio}));
}

Result<std::shared_ptr<File>> Nodes::open_group(std::uint32_t number, const Credentials& credentials) {
  auto group = UMDEV_TRY(world_->core.open_group(number, {.sys_rawio = credentials.sys_rawio}));
  return std::make_shared<GroupFile>(world_, std::move(group));
}

Result<std::shared_ptr<File>> Nodes::open_device(std::uint32_t index, const Credentials&) {
  if (!has_iommufd(world_->profile)) return fail(ENODEV, "this kernel has no nodes of devices");
  vfio::DeviceRef device = world_->core.find_index(index);
  if (!device) return fail(ENODEV, "no such device");
  return DeviceNode::of_cdev(world_, std::move(device));
}

Result<std::shared_ptr<File>> Nodes::open_iommufd(const Credentials&) {
  if (!has_iommufd(world_->profile)) return fail(ENODEV, "this kernel has no iommufd");
  return std::make_shared<IommufdFile>(world_);
}

}  // namespace umdev::ioctl
