// A function that is a second view of a device, which VFIO has under another name.
#pragma once

#include <memory>
#include <string>

#include "umdev/pci/pci_function.h"
#include "umdev/pci/virtual_functions.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::pci {

// Made by PciBus. Users that have the device open are not touched by binding and unbinding; those of its
// virtual functions are: without a driver it has none.
class ShownFunction final : public PciFunction {
 public:
  // `shown` is where the device that was registered is in the tree (Device::path). `functions` makes the
  // virtual ones; null for a function that has none.
  ShownFunction(const Place& place, ConfigLayout layout, std::shared_ptr<vfio::RegisteredDevice> device,
                std::string shown, std::unique_ptr<VirtualFunctions> functions);

  // Is it the view of the device that was registered for this one?
  bool is_of(const device::Device& device) const { return device_->parent().get() == &device; }

  // ^PciFunction
  Result<> bind_to_vfio() override UMDEV_EXCLUDES(mutex_);
  void unbind_from_vfio(RemovePolicy policy, Done<> done) override;
  void force_unbind() override;
  VirtualFunctions* virtual_functions() override { return functions_.get(); }

 protected:
  // ^PciFunction: and the link to the IOMMU group.
  void stage(tree::Transaction& transaction, const tree::Directory& directory) override;

 private:
  void hide() UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<vfio::RegisteredDevice> device_;
  const std::string shown_;
  const std::unique_ptr<VirtualFunctions> functions_;
  Mutex mutex_;
  tree::NodeHandle vfio_dev_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::pci
