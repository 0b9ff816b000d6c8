// One function in the tree's PCI bus: what all kinds of them have.
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

namespace umdev::pci {

class VirtualFunctions;

// All members from any thread.
class PciFunction : public device::Device {
 public:
  // Where it is shown.
  struct Place {
    device::Model& model;
    std::shared_ptr<device::Device> root;
    std::shared_ptr<device::Bus> bus;
    Address address;
  };

  static PciFunction& from(device::Device& device) { return static_cast<PciFunction&>(device); }

  const ConfigLayout& layout() const { return layout_; }
  const Address& address() const { return address_; }
  // The driver that alone may take it; empty for any.
  std::string driver_override() const UMDEV_EXCLUDES(mutex_);
  void set_driver_override(std::string name) UMDEV_EXCLUDES(mutex_);
  // The lines of `resource`.
  std::string resource() const;
  std::string modalias() const;

  // Publishes it, which has bus and drivers look at it: `probed` is called when they have.
  // device::Device::add's errors.
  Result<> show(Done<> probed = {});

  // What vfio-pci does when it takes the function, and when it lets it go (device::Driver::begin_remove).
  virtual Result<> bind_to_vfio() = 0;
  virtual void unbind_from_vfio(RemovePolicy policy, Done<> done) = 0;
  // While that waits: it is to end soon.
  virtual void force_unbind() {}
  // Those of a physical function that has any; null otherwise.
  virtual VirtualFunctions* virtual_functions() { return nullptr; }

 protected:
  PciFunction(const Place& place, ConfigLayout layout, std::vector<const device::AttributeGroup*> more = {});

  // Adds `config`, as part of the publication.
  virtual void stage(tree::Transaction& transaction, const tree::Directory& directory);
  // ^device::Device: what udev and module loading go by.
  void add_to_environment(device::Environment& environment) const override;

 private:
  template <std::unsigned_integral T>
  T id(std::uint16_t offset) const {
    return *load_le<T>(layout_.image(), offset);
  }

  const Address address_;
  const ConfigLayout layout_;
  mutable Mutex mutex_;
  std::string driver_override_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::pci
