// One function in the tree's PCI bus.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/device/device.h"
#include "umdev/pci/address.h"
#include "umdev/pci/config_layout.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::pci {

// Made by PciBus. All members from any thread.
class PciFunction final : public device::Device {
 public:
  // `place` is where the device that was registered is in the tree (Device::path).
  PciFunction(device::Model& model, std::shared_ptr<device::Device> root, std::shared_ptr<device::Bus> bus,
              const Address& address, std::shared_ptr<vfio::RegisteredDevice> device, ConfigLayout layout,
              std::string place);

  static PciFunction& from(device::Device& device) { return static_cast<PciFunction&>(device); }

  const ConfigLayout& layout() const { return layout_; }
  // Is it the view of the device that was registered for this one?
  bool is_of(const device::Device& device) const { return device_->parent().get() == &device; }
  // The driver that alone may take it; empty for any.
  std::string driver_override() const UMDEV_EXCLUDES(mutex_);
  void set_driver_override(std::string name) UMDEV_EXCLUDES(mutex_);
  // The lines of `resource`.
  std::string resource() const;
  std::string modalias() const;

  // Adds `config` and the link to the IOMMU group, as part of the publication.
  void stage(tree::Transaction& transaction, const tree::Directory& directory) const;
  // What vfio-pci does when it takes the function, and when it lets it go.
  Result<> show_to_vfio() UMDEV_EXCLUDES(mutex_);
  void hide_from_vfio() UMDEV_EXCLUDES(mutex_);

 protected:
  // ^device::Device: what udev and module loading go by.
  void add_to_environment(device::Environment& environment) const override;

 private:
  template <std::unsigned_integral T>
  T id(std::uint16_t offset) const {
    return *load_le<T>(layout_.image(), offset);
  }

  const Address address_;
  const std::shared_ptr<vfio::RegisteredDevice> device_;
  const ConfigLayout layout_;
  const std::string place_;
  mutable Mutex mutex_;
  std::string driver_override_ UMDEV_GUARDED_BY(mutex_);
  tree::NodeHandle vfio_dev_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::pci
