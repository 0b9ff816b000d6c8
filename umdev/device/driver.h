// A driver of devices on a bus.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "umdev/device/attribute_group.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"

namespace umdev::device {

class Bus;
class Device;

// Derived by whoever drives devices, registered by Bus::register_driver(). All virtual functions are called
// with no lock held, from any thread; those about one device never overlap, those about two devices may run
// at the same time. A driver's parts are probe and remove, which may complete later through their begin_
// forms.
class Driver : public std::enable_shared_from_this<Driver> {
 public:
  Driver();
  virtual ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  virtual std::string_view name() const = 0;

  // Takes the device, or says why not. ENODEV and ENXIO: it is not for this driver.
  virtual Result<> probe(Device&) { return {}; }
  // Lets the device go. Cannot fail.
  virtual void remove(Device&) {}

  // What the core calls: the same, completing later where that takes waiting. The device stays while they
  // run.
  virtual void begin_probe(Device& device, Done<> done) { done(probe(device)); }
  // Under RemovePolicy::busy, and only then, an error (EBUSY) refuses: the device stays bound.
  virtual void begin_remove(Device& device, RemovePolicy, Done<> done) {
    remove(device);
    done();
  }

  // begin_remove, under RemovePolicy::wait, has returned and waits still, and now somebody wants it to be
  // forced. May come more than once, and may just miss the completion.
  virtual void force_remove(Device&) {}

  // The driver (a VFIO one) hands the device's DMA to its user: it may be bound beside others of its kind
  // while a user owns the IOMMU group. The kernel's driver_managed_dma.
  virtual bool manages_dma() const { return false; }
  // Attributes that a device has while it is bound to this driver (the kernel's dev_groups): added after
  // probe, removed before remove.
  virtual AttributeGroups device_groups() const { return {}; }
  // The module it comes from, for the `module` link; none when empty.
  virtual std::string_view module_name() const { return {}; }
  // Adds attributes of the driver's own directory.
  virtual void stage(tree::Transaction&, const tree::Directory&) {}

  // The bus it is registered on, or null.
  std::shared_ptr<Bus> bus() const;
  // bus/<bus>/drivers/<driver>; only while it is registered.
  tree::Directory directory() const;
  // The devices that are bound to it, being bound or being unbound.
  std::size_t device_count() const;

 private:
  friend class Bus;
  friend class Device;

  // Counts the device as this driver's; ENODEV when the driver is not registered (any more) on that bus.
  Result<> take(const std::shared_ptr<Device>& device);
  void give_back(const std::shared_ptr<Device>& device);

  mutable Mutex mutex_;
  std::shared_ptr<Bus> bus_ UMDEV_GUARDED_BY(mutex_);
  bool accepts_ UMDEV_GUARDED_BY(mutex_) = false;  // registered, and not about to be unregistered
  std::set<std::shared_ptr<Device>> devices_ UMDEV_GUARDED_BY(mutex_);
  tree::NodeHandle nodes_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::device
