// A bus: devices and the drivers that may take them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "umdev/device/driver.h"

namespace umdev::device {

class Model;

// The bus owner's rules. Must be safe from any thread; called with no lock held.
class BusPolicy {
 public:
  virtual ~BusPolicy() = default;
  // Whether the driver is one for the device: asked by autoprobe, drivers_probe and a driver's `bind`. Not
  // asked when a driver is attached explicitly (the mdev bus never matches).
  virtual bool match(const Device& device, const Driver& driver) const = 0;
};

// bus/<name>/{devices/, drivers/, drivers_autoprobe, drivers_probe, uevent}. Shared by its owner and by every
// device and driver on it; its directory goes with the last of them. All members from any thread.
class Bus : public std::enable_shared_from_this<Bus> {
 public:
  // The model must outlive it. EEXIST, EINVAL (the name).
  static Result<std::shared_ptr<Bus>> create(Model& model, std::string name,
                                             std::unique_ptr<const BusPolicy> policy);
  ~Bus();

  const std::string& name() const { return name_; }
  Model& model() const { return model_; }
  tree::Directory directory() const { return nodes_.directory(); }
  tree::Directory devices_directory() const { return devices_directory_; }

  // Publishes bus/<name>/drivers/<driver>/{bind, unbind, uevent[, module]} and what the driver stages, then,
  // with autoprobe, tries the driver on every device of the bus that has none and matches; `probed` is called
  // when that is over, whatever came of it. EEXIST: a driver of that name is registered; EBUSY: this one
  // already is.
  //
  // Unregistering unbinds it from all devices (under RemovePolicy::busy it is refused with EBUSY while it has
  // any), completes when the last has been let go, and takes the directory away.
  Result<Registration> register_driver(std::shared_ptr<Driver> driver, Done<> probed = {});

  // ENODEV when there is none. A newline at the end of the name does not matter (sysfs_streq).
  Result<std::shared_ptr<Device>> find_device(std::string_view name) const;
  Result<std::shared_ptr<Driver>> find_driver(std::string_view name) const;
  std::vector<std::shared_ptr<Device>> devices() const;
  // In the order in which they were registered.
  std::vector<std::shared_ptr<Driver>> drivers() const;

  bool autoprobe() const { return autoprobe_.load(); }
  void set_autoprobe(bool autoprobe) { autoprobe_.store(autoprobe); }
  bool match(const Device& device, const Driver& driver) const { return policy_->match(device, driver); }

  // Tries the drivers that match, in order, until one takes the device (drivers_probe, device_attach).
  // Success also when none did, or it has one already.
  void probe(const std::shared_ptr<Device>& device, Done<> done);

 private:
  friend class Device;
  friend class Driver;
  class DriverEntry;
  struct DeviceProbe;

  Bus(Model& model, std::string name, std::unique_ptr<const BusPolicy> policy);
  Result<> publish();
  Result<tree::NodeHandle> publish_driver(const std::shared_ptr<Driver>& driver);
  void probe_all(const std::shared_ptr<Driver>& driver, Done<> done);
  void unregister_driver(const std::shared_ptr<Driver>& driver, RemovePolicy policy, Done<> done);
  void insert(const std::shared_ptr<Device>& device);
  void erase(const std::shared_ptr<Device>& device);

  Model& model_;
  const std::string name_;
  const std::unique_ptr<const BusPolicy> policy_;
  std::atomic<bool> autoprobe_ = true;
  tree::NodeHandle nodes_;  // written once, before the bus is shared
  tree::Directory devices_directory_;
  tree::Directory drivers_directory_;

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Device>, std::less<>> devices_ UMDEV_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Driver>> drivers_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::device
