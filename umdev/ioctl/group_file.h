// An open of /dev/vfio/N.
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/group.h"

namespace umdev::ioctl {

class GroupFile final : public File {
 public:
  GroupFile(std::shared_ptr<const World> world, std::shared_ptr<vfio::GroupFile> group)
      : world_(std::move(world)), group_(std::move(group)) {}

  const std::shared_ptr<vfio::GroupFile>& group() const { return group_; }

  // ^File
  FileKind kind() const override { return FileKind::group; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;

 private:
  Result<> get_status(Caller& caller, UserAddress argument);
  Result<> set_container(Caller& caller, UserAddress argument);
  void get_device_fd(Caller& caller, UserAddress argument, Done<Answer> done);

  const std::shared_ptr<const World> world_;
  const std::shared_ptr<vfio::GroupFile> group_;
};

}  // namespace umdev::ioctl
