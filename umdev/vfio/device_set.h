// Device sets: devices that share a reset domain, whose opens and closes are serialised together.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "umdev/support/mutex.h"
#include "umdev/support/serial_queue.h"

namespace umdev::vfio {

class RegisteredDevice;

// Open, close and reset of all devices in the set run one at a time, by a queue, never under a lock. A device
// is in exactly one set, of its own unless it was registered with a set's id. Thread-safe.
class DeviceSet {
 public:
  SerialQueue& queue() { return *queue_; }

  void add(const RegisteredDevice& device) UMDEV_EXCLUDES(mutex_);
  void remove(const RegisteredDevice& device) UMDEV_EXCLUDES(mutex_);
  std::size_t size() const UMDEV_EXCLUDES(mutex_);
  // vfio_find_device_in_devset: by what `same` says, or null.
  bool contains(const RegisteredDevice& device) const UMDEV_EXCLUDES(mutex_);
  // Opens of all devices together (vfio_device_set_open_count).
  std::uint32_t open_count() const UMDEV_EXCLUDES(mutex_);

 private:
  const std::shared_ptr<SerialQueue> queue_ = std::make_shared<SerialQueue>();
  mutable Mutex mutex_;
  std::vector<const RegisteredDevice*> devices_ UMDEV_GUARDED_BY(mutex_);
};

// Finds or makes sets by id. Thread-safe.
class DeviceSets {
 public:
  // The set with this id; a fresh one of its own for a null id.
  std::shared_ptr<DeviceSet> get(const void* id) UMDEV_EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::map<const void*, std::weak_ptr<DeviceSet>> sets_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
