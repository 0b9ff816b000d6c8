#include "umdev/ioctl/group_file.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/container_file.h"
#include "umdev/ioctl/device_name.h"
#include "umdev/ioctl/device_node.h"
#include "umdev/ioctl/iommufd_file.h"

namespace umdev::ioctl {

void GroupFile::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                      Done<Answer> done) {
  switch (command) {
    case abi::vfio_group_get_status:
      return done(success(get_status(*caller, argument)));
    case abi::vfio_group_set_container:
      return world_->finish(kind(), command, success(set_container(*caller, argument)), done);
    case abi::vfio_group_unset_container:
      return done(success(group_->unset_container()));
    case abi::vfio_group_get_device_fd:
      return get_device_fd(*caller, argument, std::move(done));
    default:
      return done(fail(ENOTTY, "a group has no such command"));
  }
}

Result<> GroupFile::get_status(Caller& caller, UserAddress argument) {
  auto answer = UMDEV_TRY(read_argsz<abi::VfioGroupStatus>(caller, argument));
  const vfio::GroupStatus status = UMDEV_TRY(group_->status());
  answer.flags = (status.viable ? abi::vfio_group_flags_viable : 0) |
                 (status.container_set ? abi::vfio_group_flags_container_set : 0);
  return write_value(caller, argument, answer);
}

Result<> GroupFile::set_container(Caller& caller, UserAddress argument) {
  const auto fd = UMDEV_TRY(read_value<std::int32_t>(caller, argument));
  const auto file = UMDEV_TRY(caller.file(fd));
  // Whatever the descriptor stands for: a group in a container, or without a device, is told so first.
  if (group_->container()) return fail(EINVAL, "the group is in a container already");
  UMDEV_TRY(group_->status());
  if (const auto container = std::dynamic_pointer_cast<ContainerFile>(file))
    return group_->set_container(container->container());
  if (const auto iommufd = std::dynamic_pointer_cast<IommufdFile>(file))
    return group_->set_container(iommufd->container());
  return fail(EBADFD, "the descriptor is of no container");
}

void GroupFile::get_device_fd(Caller& caller, UserAddress argument, Done<Answer> done) {
  auto name = read_device_name(caller, argument);
  if (!name) return done(std::unexpected(name.error()));
  const auto wanted = parse_device_name(*group_, *name);
  if (!wanted) return done(std::unexpected(wanted.error()));
  auto opening =
      std::make_shared<std::pair<std::shared_ptr<const World>, Done<Answer>>>(world_, std::move(done));
  group_->get_device(
      wanted->name,
      [opening](Result<std::shared_ptr<vfio::DeviceFile>> device) {
        if (!device) return opening->second(std::unexpected(device.error()));
        opening->second(Answer{.file = DeviceNode::of_group(opening->first, std::move(*device))});
      },
      wanted->token);
}

}  // namespace umdev::ioctl
