// Instances that are shown as PCI functions too, because whoever created them said at which address.
#pragma once

#include <memory>

#include "umdev/mdev/instance.h"
#include "umdev/pci/pci_bus.h"

namespace umdev::daemon {

// Threads: any. Outlives the instances.
class InstanceFunctions {
 public:
  // EEXIST: the model has a PCI bus already.
  static Result<std::unique_ptr<InstanceFunctions>> create(device::Model& model, vfio::Core& core);

  // Is it to be shown? Such a one is in an IOMMU group as a real function is.
  static bool is_function(const mdev::Instance& instance);
  // Shows an instance that VFIO has, where its creator asked for it (control::pci_attribute); for all others
  // there is nothing to do. EINVAL: no address; the rest as PciBus::add.
  Result<> show(mdev::Instance& instance);
  // The other way round, and its virtual functions with it: as PciBus::remove.
  void hide(mdev::Instance& instance, RemovePolicy policy, Done<> done);
  bool has_virtual_functions(const mdev::Instance& instance) const;

 private:
  explicit InstanceFunctions(std::unique_ptr<pci::PciBus> bus) : bus_(std::move(bus)) {}
  const std::unique_ptr<pci::PciBus> bus_;
};

}  // namespace umdev::daemon
