// Who has a say, or an interest, in which driver takes a device. An IOMMU group is one: it refuses a driver
// that would share the group with a user of VFIO (the kernel's group notifier, which can only stop the
// machine then, and iommu_device_use_default_domain).
#pragma once

#include "umdev/support/error.h"

namespace umdev::device {

class Device;
class Driver;

// Registered per device. Called with no lock held, on the thread that binds or unbinds; calls about one
// device never overlap. Who heard of a beginning hears of its end too, even if it was removed from the device
// meanwhile; who was added in between does not.
class BindObserver {
 public:
  virtual ~BindObserver() = default;

  // The driver is about to be probed (BUS_NOTIFY_BIND_DRIVER). An error vetoes: EBUSY is the proper one.
  // Those that agreed before it are told driver_bind_failed.
  virtual Result<> driver_binding(Device& device, Driver& driver) = 0;
  // It was probed and is bound (BUS_NOTIFY_BOUND_DRIVER).
  virtual void driver_bound(Device&, Driver&) {}
  // It was not (BUS_NOTIFY_DRIVER_NOT_BOUND).
  virtual void driver_bind_failed(Device&, Driver&) {}
  // It is about to be removed from the device (BUS_NOTIFY_UNBIND_DRIVER)...
  virtual void driver_unbinding(Device&, Driver&) {}
  // ...but refused, under RemovePolicy::busy, and stays bound.
  virtual void driver_unbind_refused(Device&, Driver&) {}
  // It was removed (BUS_NOTIFY_UNBOUND_DRIVER).
  virtual void driver_unbound(Device&, Driver&) {}
  // The device, which has no driver any more, leaves the tree (BUS_NOTIFY_DEL_DEVICE). The last call.
  virtual void device_removed(Device&) {}
};

}  // namespace umdev::device
