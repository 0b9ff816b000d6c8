// The PCI bus of the tree: VFIO devices shown as functions in bus/pci, for programs that look for them there.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "umdev/device/bus.h"
#include "umdev/device/class.h"
#include "umdev/device/device.h"
#include "umdev/device/model.h"
#include "umdev/pci/address.h"
#include "umdev/pci/shown_function.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::pci {

// Makes bus/pci with the driver vfio-pci in the model. A function is a second view of a device that is
// registered with VFIO already, under another name; the device stays one. While the function is bound to
// vfio-pci, opening its address opens the device, and vfio-dev leads to its vfioN; while it is not, only the
// device's own name does. Users that have it open are not touched by either.
//
// A function's directory is devices/virtual/pci_bus/DDDD:BB/DDDD:BB:DD.F (a host's own root buses, if it has
// any, are devices/pciDDDD:BB, so neither is in the other's way), with what sysfs shows of it: vendor,
// device, subsystem_vendor, subsystem_device, class, revision, irq, numa_node, resource, config (as at
// power-on), modalias, driver_override, iommu_group. Base addresses are made up: nobody can reach anything
// there.
//
// With the first function come what programs look for before they believe in any: the modules vfio and
// vfio_pci in module/, an IOMMU in class/iommu.
//
// A physical function (one with an SriovCapability) has `sriov_numvfs` and makes virtual functions by it
// (VirtualFunctions): VFIO devices of their own, of which the function is the only name. They go with it.
//
// Threads: every function from any. Must outlive its functions.
class PciBus {
 public:
  // `core` is where virtual functions are registered, and outlives this. EEXIST: the model has a PCI bus
  // already.
  static Result<std::unique_ptr<PciBus>> create(device::Model& model, vfio::Core& core);
  ~PciBus();

  // Shows the device, bound to vfio-pci. EOPNOTSUPP: it is no PciDevice; EEXIST: the address is taken;
  // ENODEV: it is being unregistered. `of` is the device in the tree that it was registered for.
  Result<std::shared_ptr<device::Device>> add(const Address& address, device::Device& of,
                                              std::shared_ptr<vfio::RegisteredDevice> device)
      UMDEV_EXCLUDES(mutex_);
  // Takes the view of that device away, when the users of its virtual functions have gone as the policy says.
  // EBUSY: there are such functions, under RemovePolicy::busy. Nothing to do when it has no view at the
  // address. Once more with RemovePolicy::force ends a wait.
  void remove(const Address& address, const device::Device& of, RemovePolicy policy, Done<> done)
      UMDEV_EXCLUDES(mutex_);
  // Has the view of that device some at present?
  bool has_virtual_functions(const device::Device& of) const UMDEV_EXCLUDES(mutex_);

 private:
  std::shared_ptr<ShownFunction> shown(const device::Device& of) const UMDEV_EXCLUDES(mutex_);
  PciBus(device::Model& model, vfio::Core& core, std::shared_ptr<device::Bus> bus,
         std::shared_ptr<device::Class> root_class)
      : model_(model), core_(core), bus_(std::move(bus)), root_class_(std::move(root_class)) {}
  std::unique_ptr<VirtualFunctions> virtual_functions_of(
      const ConfigLayout& layout, const std::shared_ptr<vfio::RegisteredDevice>& device);
  Result<std::shared_ptr<device::Device>> root_of(const Address& address) UMDEV_EXCLUDES(mutex_);

  Result<> show_surroundings() UMDEV_REQUIRES(mutex_);

  device::Model& model_;
  vfio::Core& core_;
  const std::shared_ptr<device::Bus> bus_;
  const std::shared_ptr<device::Class> root_class_;
  std::shared_ptr<device::Driver> vfio_pci_;  // written by create()
  Registration registration_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<device::Device>> roots_ UMDEV_GUARDED_BY(mutex_);
  std::map<const device::Device*, std::weak_ptr<ShownFunction>> shown_ UMDEV_GUARDED_BY(mutex_);
  tree::NodeHandle modules_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<device::Device> iommu_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::pci
