#include "umdev/ioctl/nodes.h"

#include "umdev/ioctl/container_file.h"
#include "umdev/ioctl/group_file.h"
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

// As a kernel that was built without iommufd.

Result<std::shared_ptr<File>> Nodes::open_device(std::uint32_t, const Credentials&) {
  return fail(ENODEV, "there are no nodes of devices");
}

Result<std::shared_ptr<File>> Nodes::open_iommufd(const Credentials&) {
  return fail(ENODEV, "there is no iommufd");
}

}  // namespace umdev::ioctl
