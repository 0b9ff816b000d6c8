// A virtual function: of the PCI bus first, and VFIO's while vfio-pci has it.
#pragma once

#include <memory>
#include <string>

#include "umdev/pci/pci_function.h"
#include "umdev/vfio/core.h"

namespace umdev::pci {

// Made by VirtualFunctions, in the order and with the life of a real one's: its directory is there while it
// is enabled, its VFIO device and its IOMMU group while it is bound. Its driver lets it go when its users
// have.
class VirtualFunction final : public PciFunction {
 public:
  // `physical` is its physical function in VFIO, `of` that one's directory. `core` outlives it.
  VirtualFunction(const Place& place, ConfigLayout layout, vfio::Core& core,
                  std::shared_ptr<vfio::RegisteredDevice> physical, std::string of)
      : PciFunction(place, std::move(layout)),
        core_(core),
        physical_(std::move(physical)),
        of_(std::move(of)) {}

  // What those of a physical function look like. ENODEV: it is being unregistered.
  static Result<ConfigLayout> layout_of(const std::shared_ptr<vfio::RegisteredDevice>& physical,
                                        DeviceHost& host);

  // ^PciFunction. ENODEV: the physical function is being unregistered; the errors of Core::register_device.
  Result<> bind_to_vfio() override UMDEV_EXCLUDES(mutex_);
  void unbind_from_vfio(RemovePolicy policy, Done<> done) override UMDEV_EXCLUDES(mutex_);
  void force_unbind() override UMDEV_EXCLUDES(mutex_);

 protected:
  // ^PciFunction: and the link to the physical function.
  void stage(tree::Transaction& transaction, const tree::Directory& directory) override;

 private:
  vfio::Core& core_;
  const std::shared_ptr<vfio::RegisteredDevice> physical_;
  const std::string of_;
  Mutex mutex_;
  std::shared_ptr<vfio::DeviceRegistration> registered_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::pci
