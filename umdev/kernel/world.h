// What modules act on: one tree, one VFIO core, one mdev bus, and threads that may wait.
//
// A module reaches its world through the call that it is in (current_call()->module->world()), never through
// a global: two worlds in one process have modules of their own.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "include/umdev/kernel/umdev/objects.h"
#include "umdev/device/class.h"
#include "umdev/kernel/calls.h"
#include "umdev/mdev/bus.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/core.h"

namespace umdev::kernel {

class IommuRegistration;
class MdevRecord;
class ModuleDriver;
class VfioRecord;

// What stands behind objects of modules that have no place for it. Any thread.
template <typename Key, typename Value>
class PointerMap {
 public:
  // Null when there is none.
  std::shared_ptr<Value> find(const Key* key) const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : found->second;
  }
  void add(const Key* key, std::shared_ptr<Value> value) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    values_[key] = std::move(value);
  }
  std::vector<std::shared_ptr<Value>> values() const UMDEV_EXCLUDES(mutex_) {
    std::vector<std::shared_ptr<Value>> all;
    Lock lock(mutex_);
    for (const auto& [key, value] : values_) all.push_back(value);
    return all;
  }
  std::shared_ptr<Value> take(const Key* key) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    auto node = values_.extract(key);
    return node ? std::move(node.mapped()) : nullptr;
  }

 private:
  mutable Mutex mutex_;
  std::map<const Key*, std::shared_ptr<Value>> values_ UMDEV_GUARDED_BY(mutex_);
};

// What the bus has for the driver that a module registers: the driver, or something round it (the daemon's
// puts a socket beside each instance).
class DriverWrapper {
 public:
  virtual ~DriverWrapper() = default;
  virtual std::shared_ptr<mdev::BusDriver> wrap(std::shared_ptr<mdev::BusDriver> driver) = 0;
};

struct WorldConfig {
  vfio::Core* core = nullptr;
  mdev::Bus* bus = nullptr;
  DeviceHost* host = nullptr;
  // Where calls that wait go on: an os::ThreadPool, which grows when all of its threads wait.
  Executor* threads = nullptr;
  // How long a call may take whose answer the core needs at once (SET_IRQS, mmap, ioctl,
  // available_instances).
  Duration answer_limit = std::chrono::seconds(5);
  DriverWrapper* wrapper = nullptr;  // null: drivers are registered as they are
};

// Everything in the configuration outlives it; it outlives its modules. All members from any thread.
class World {
 public:
  explicit World(const WorldConfig& config) : config_(config), calls_(*config.threads, config.answer_limit) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  vfio::Core& core() const { return *config_.core; }
  mdev::Bus& bus() const { return *config_.bus; }
  device::Model& model() const { return config_.bus->model(); }
  DeviceHost& host() const { return *config_.host; }
  Log& log() const { return config_.host->log(); }
  Calls& calls() { return calls_; }
  std::shared_ptr<mdev::BusDriver> wrap(std::shared_ptr<mdev::BusDriver> driver) const {
    return config_.wrapper != nullptr ? config_.wrapper->wrap(std::move(driver)) : driver;
  }

  // What modules have registered, by the structures that they did it with.
  PointerMap<::device_driver, ModuleDriver>& drivers() { return drivers_; }
  PointerMap<::class_, device::Class>& classes() { return classes_; }

  // Instances of modules. A record that is about to end is not found any more.
  void add_mdev(const Uuid& uuid, std::weak_ptr<MdevRecord> record) UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<MdevRecord> find_mdev(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);
  void remove_mdev(const Uuid& uuid) UMDEV_EXCLUDES(mutex_);
  // VFIO devices by what they were registered for, and parents up to 6.0.
  PointerMap<::device, VfioRecord>& vfio_devices() { return vfio_devices_; }
  PointerMap<::device, Registration>& parents() { return parents_; }
  // IOMMU drivers, by their own tables of callbacks.
  PointerMap<void, IommuRegistration>& iommu_drivers() { return iommu_drivers_; }

  // The virtual machine that has a group, by the IOMMU group's number; null: none.
  void set_kvm(std::uint32_t group, ::kvm* machine) UMDEV_EXCLUDES(mutex_);
  ::kvm* kvm_of(std::uint32_t group) const UMDEV_EXCLUDES(mutex_);

  // Majors for alloc_chrdev_region(); nothing is behind them.
  unsigned next_major() UMDEV_EXCLUDES(mutex_);

 private:
  const WorldConfig config_;
  Calls calls_;
  PointerMap<::device_driver, ModuleDriver> drivers_;
  PointerMap<::class_, device::Class> classes_;
  PointerMap<::device, VfioRecord> vfio_devices_;
  PointerMap<::device, Registration> parents_;
  PointerMap<void, IommuRegistration> iommu_drivers_;
  mutable Mutex mutex_;
  std::map<Uuid, std::weak_ptr<MdevRecord>> mdevs_ UMDEV_GUARDED_BY(mutex_);
  std::map<std::uint32_t, ::kvm*> machines_ UMDEV_GUARDED_BY(mutex_);
  unsigned next_major_ UMDEV_GUARDED_BY(mutex_) = 234;
};

}  // namespace umdev::kernel
