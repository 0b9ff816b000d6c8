// The virtual functions of one physical function: what `sriov_numvfs` makes and removes.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "umdev/device/attribute_group.h"
#include "umdev/pci/pci_function.h"
#include "umdev/support/serial_queue.h"
#include "umdev/vfio/core.h"

namespace umdev::pci {

// The rules are the kernel's (drivers/pci/iov.c, and vfio-pci with enable_sriov): all of them are made and
// removed together, while the physical function is bound to vfio-pci. They are bound to vfio-pci too. Who
// takes them away waits for their users, who are asked to let go.
//
// Changes happen one after the other. All members from any thread.
class VirtualFunctions {
 public:
  // The directory of the bus that an address is on.
  using Roots = InlineFunction<Result<std::shared_ptr<device::Device>>(const Address&)>;
  // `core` and whatever `root_of` uses outlive the functions.
  struct World {
    vfio::Core& core;
    device::Model& model;
    std::shared_ptr<device::Bus> bus;
    Roots root_of;
  };
  VirtualFunctions(World world, const SriovCapability& sriov,
                   std::shared_ptr<vfio::RegisteredDevice> physical)
      : world_(std::move(world)), sriov_(sriov), physical_(std::move(physical)) {}

  // sriov_totalvfs and what else a physical function's directory has of them.
  static const device::AttributeGroup& attributes();

  const SriovCapability& sriov() const { return sriov_; }
  std::size_t count() const UMDEV_EXCLUDES(mutex_);
  bool drivers_autoprobe() const { return drivers_autoprobe_.load(); }
  void set_drivers_autoprobe(bool autoprobe) { drivers_autoprobe_.store(autoprobe); }

  // `of` is the physical function. ERANGE: it has not so many; ENOENT: it has no driver; EBUSY: there are
  // some, and other than none or as many are wanted; EEXIST: something else is at the address of one.
  void set_count(std::shared_ptr<PciFunction> of, std::size_t count, Done<> done);
  // EBUSY under RemovePolicy::busy when there are any.
  void remove_all(RemovePolicy policy, Done<> done);
  // While one of these waits for users: takes the functions from them.
  void force() UMDEV_EXCLUDES(mutex_);

 private:
  struct Change;

  void change(const std::shared_ptr<Change>& change, Done<> ended);
  void enable(const std::shared_ptr<Change>& change, Done<> ended);
  Result<> add(const std::shared_ptr<PciFunction>& of, const ConfigLayout& layout, std::size_t number,
               Done<> probed) UMDEV_EXCLUDES(mutex_);
  void disable(RemovePolicy policy, Done<> done) UMDEV_EXCLUDES(mutex_);
  void show_count(std::size_t count) const;
  std::vector<std::shared_ptr<PciFunction>> functions() const UMDEV_EXCLUDES(mutex_);

  World world_;
  const SriovCapability sriov_;
  const std::shared_ptr<vfio::RegisteredDevice> physical_;
  std::atomic<bool> drivers_autoprobe_ = true;
  const std::shared_ptr<SerialQueue> changes_ = std::make_shared<SerialQueue>();
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<PciFunction>> functions_ UMDEV_GUARDED_BY(mutex_);
  std::vector<tree::NodeHandle> links_ UMDEV_GUARDED_BY(mutex_);  // virtfnN
};

}  // namespace umdev::pci
