// By what right a device is used, and the way to its user's memory: its group's container, or an iommufd that
// it is bound to.
#pragma once

#include <memory>
#include <utility>
#include <variant>

#include "umdev/vfio/cdev_user.h"
#include "umdev/vfio/group.h"

namespace umdev::vfio {

class IommufdSteps;

// Move-only; lasts as long as the device is open.
class DeviceClaim {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a container's user is the claim of most
  DeviceClaim(ContainerUser user)
      : container_(user.container()),
        iommu_(user.iommu()),
        virtual_machine_(user.file()->virtual_machine()),
        user_(std::move(user)) {}
  // `iommu` is the way through `iommufd`.
  DeviceClaim(CdevUser user, std::shared_ptr<iommu::IommuInstance> iommu,
              std::shared_ptr<IommufdSteps> iommufd)
      : iommu_(std::move(iommu)), iommufd_(std::move(iommufd)), user_(std::move(user)) {}

  // Null for a device that is bound to an iommufd.
  const std::shared_ptr<Container>& container() const { return container_; }
  const std::shared_ptr<iommu::IommuInstance>& iommu() const { return iommu_; }
  // Null for a container's.
  const std::shared_ptr<IommufdSteps>& iommufd() const { return iommufd_; }
  const std::shared_ptr<VirtualMachine>& virtual_machine() const { return virtual_machine_; }

  // What it held of the group is given back; the rest stays.
  void release() {
    std::visit([](auto& user) { user.release(); }, user_);
  }

 private:
  std::shared_ptr<Container> container_;
  std::shared_ptr<iommu::IommuInstance> iommu_;
  std::shared_ptr<IommufdSteps> iommufd_;
  std::shared_ptr<VirtualMachine> virtual_machine_;
  std::variant<ContainerUser, CdevUser> user_;
};

}  // namespace umdev::vfio
