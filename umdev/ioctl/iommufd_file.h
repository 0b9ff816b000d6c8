// An open of /dev/iommu.
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/iommu/iommufd.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/container.h"

namespace umdev::ioctl {

class IommufdFile final : public File {
 public:
  explicit IommufdFile(std::shared_ptr<const World> world);

  const std::shared_ptr<iommu::Iommufd>& iommufd() const { return iommufd_; }
  // What VFIO_GROUP_SET_CONTAINER puts a group into: the compatibility IOAS. One for all groups of the file.
  const std::shared_ptr<vfio::Container>& container() const { return container_; }

  // ^File
  FileKind kind() const override { return FileKind::iommufd; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;

 private:
  Result<> option(Caller& caller, UserAddress argument);
  Result<> rlimit_mode(Caller& caller, std::uint16_t op, std::uint64_t& value) UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<const World> world_;
  const std::shared_ptr<iommu::Iommufd> iommufd_;
  const std::shared_ptr<vfio::Container> container_;
  Mutex mutex_;
  std::uint64_t rlimit_mode_ UMDEV_GUARDED_BY(mutex_) = 0;
};

}  // namespace umdev::ioctl
