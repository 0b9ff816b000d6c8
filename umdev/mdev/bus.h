// The mediated device core: the box in the middle between drivers of physical devices (ParentDriver) and
// drivers of the mdev bus (BusDriver).
//
// Creating an instance takes four steps, in this order: the vendor makes the device; it is added to the mdev
// bus; its bus driver adds it to an IOMMU group; and to a VFIO group. Removing undoes them. What the tree
// shows of it is complete before the first event tells of it.
//
// Threads: every function from any thread; none blocks. Completions come inline or later, on whichever thread
// ended the matter. Two creations, or a creation and a removal of different UUIDs, really run in parallel.
// Locks: Registry and ResourceLedger have one short lock each, the bus one for its list of parents; all are
// leaves. None is held while a ParentDriver, a BusDriver or a Done is called. Lifetimes: the bus outlives its
// registrations. An instance lives until its last user has gone; its UUID stays taken, and its resources
// drawn, until then.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "umdev/device/class.h"
#include "umdev/device/model.h"
#include "umdev/mdev/bus_driver.h"
#include "umdev/mdev/instance.h"
#include "umdev/mdev/parent.h"
#include "umdev/mdev/registry.h"
#include "umdev/support/host.h"
#include "umdev/support/limits.h"
#include "umdev/support/registration.h"

namespace umdev::mdev {

class Bus {
 public:
  // Makes bus/mdev and class/mdev_bus in the model. `model` and `host` outlive the bus. EEXIST: the model has
  // them already.
  static Result<std::unique_ptr<Bus>> create(device::Model& model, DeviceHost& host, const Limits& limits);
  ~Bus();
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  // EINVAL: the driver takes no device API; EEXIST, EBUSY: see device::Bus::register_driver.
  Result<Registration> register_driver(std::shared_ptr<BusDriver> driver, Done<> probed = {});

  // Offers a parent's types. EINVAL: see Parent::create; EEXIST: the device is a parent already, or another
  // one has its name. Emits "change" of the parent with MDEV_STATE=registered. Unregistering refuses
  // creations and removals from now on (ENODEV), lets those under way end, removes every instance (by the
  // policy: `busy` is EBUSY while there is one or one is being created; the vendor cannot refuse; `force`
  // forces removals under way too), takes the types away, and emits MDEV_STATE=unregistered.
  Result<Registration> register_parent(ParentSpec spec, std::unique_ptr<ParentDriver> driver)
      UMDEV_EXCLUDES(mutex_);

  // Makes an instance. When it completes with success the instance is complete in the tree and can be opened.
  // In the order in which they are found: ENODEV no such parent; EINVAL no such type; EEXIST the UUID is
  // taken, by whatever parent, in whatever state; EUSERS max_instances; ENODEV the parent is going; ENOSPC
  // its resources are short; then the vendor's error, ETIMEDOUT when it does not answer, then the bus
  // driver's (ENODEV when that is not there).
  void create(CreateRequest request, Done<> done);

  // Removes an instance. ENODEV unknown, or its parent is going; EAGAIN its creation has not ended or another
  // removal has begun (but `force` makes that one stop waiting, and ends with it); the vendor's refusal
  // (EBUSY) unless forced; EBUSY in use, under RemovePolicy::busy. `wait` completes when the last user has
  // let go; `force` takes it away.
  void remove(const Uuid& uuid, RemovePolicy policy, Done<> done);

  // ENODEV; EAGAIN while it is being created.
  Result<std::shared_ptr<Instance>> find(const Uuid& uuid) const { return registry_.find(uuid); }
  std::vector<std::shared_ptr<Instance>> instances() const { return registry_.list(); }
  Result<InstanceState> state(const Uuid& uuid) const { return registry_.state(uuid); }
  Result<std::shared_ptr<Parent>> find_parent(std::string_view name) const UMDEV_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<Parent>> parents() const UMDEV_EXCLUDES(mutex_);

  device::Model& model() const { return model_; }
  device::Class& parent_class() const { return *parent_class_; }
  const std::shared_ptr<device::Bus>& device_bus() const { return bus_; }
  DeviceHost& host() const { return host_; }
  const Limits& limits() const { return limits_; }

 private:
  friend class Creation;
  class ParentEntry;

  Bus(device::Model& model, DeviceHost& host, const Limits& limits, std::shared_ptr<device::Bus> bus,
      std::shared_ptr<device::Class> parent_class);
  void remove_instance(std::shared_ptr<Instance> instance, RemovePolicy policy, bool forced, Gate::Pass pass,
                       Done<> done);
  // Forces the removal of an instance that is being removed already, and ends with it; false (and `done`
  // untouched) when there is none such.
  bool join_removal(const Uuid& uuid, Done<>& done);
  void unregister_parent(const std::shared_ptr<Parent>& parent, RemovePolicy policy, Done<> done);
  void remove_children(const std::shared_ptr<Parent>& parent, RemovePolicy policy, Done<> done);

  device::Model& model_;
  DeviceHost& host_;
  const Limits limits_;
  const std::shared_ptr<device::Bus> bus_;
  const std::shared_ptr<device::Class> parent_class_;
  Registry registry_;
  mutable Mutex mutex_;
  // Null for a name whose parent is not complete yet.
  std::map<std::string, std::shared_ptr<Parent>, std::less<>> parents_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::mdev
