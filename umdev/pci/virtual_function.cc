#include "umdev/pci/virtual_function.h"

#include <utility>

#include "umdev/pci/pci_device.h"

namespace umdev::pci {
namespace {

Result<std::unique_ptr<PciDevice>> make_device(const std::shared_ptr<vfio::RegisteredDevice>& physical,
                                               DeviceHost& host) {
  const auto stay = physical->enter();
  const auto reference = vfio::DeviceRef::try_get(physical);
  auto* const device = reference ? dynamic_cast<PciDevice*>(&physical->device()) : nullptr;
  if (device == nullptr) return fail(ENODEV, "the physical function is being unregistered");
  return device->create_virtual_function(host);
}

}  // namespace

Result<ConfigLayout> VirtualFunction::layout_of(const std::shared_ptr<vfio::RegisteredDevice>& physical,
                                                DeviceHost& host) {
  return UMDEV_TRY(make_device(physical, host))->layout();
}

void VirtualFunction::stage(tree::Transaction& transaction, const tree::Directory& directory) {
  PciFunction::stage(transaction, directory);
  transaction.add_link_to_path(directory, "physfn", of_);
}

Result<> VirtualFunction::bind_to_vfio() {
  auto device = UMDEV_TRY(make_device(physical_, core_.host()));
  const auto group = UMDEV_TRY(core_.create_iommu_group("", vfio::IommuGroup::Kind::physical));
  UMDEV_TRY(core_.add_to_iommu_group(group, shared_from_this()));
  auto registered = core_.register_device(std::move(device), {.parent = shared_from_this()});
  if (!registered) {
    core_.remove_from_iommu_group(shared_from_this());
    return std::unexpected(registered.error());
  }
  Lock lock(mutex_);
  registered_ = std::make_shared<vfio::DeviceRegistration>(std::move(*registered));
  return {};
}

void VirtualFunction::unbind_from_vfio(RemovePolicy policy, Done<> done) {
  std::shared_ptr<vfio::DeviceRegistration> registered;
  {
    Lock lock(mutex_);
    registered = registered_;
  }
  auto self = std::static_pointer_cast<VirtualFunction>(shared_from_this());
  auto unbound = std::make_shared<Done<>>(std::move(done));
  registered->registration.unregister(policy, [self, registered, unbound](Result<> result) {
    if (result) {
      self->core_.remove_from_iommu_group(self);
      Lock lock(self->mutex_);
      self->registered_.reset();
    }
    (*unbound)(std::move(result));
  });
}

void VirtualFunction::force_unbind() {
  std::shared_ptr<vfio::RegisteredDevice> device;
  {
    Lock lock(mutex_);
    if (registered_) device = registered_->device;
  }
  if (device) device->force();
}

}  // namespace umdev::pci
