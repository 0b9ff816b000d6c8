#include "umdev/vfio/device_set.h"

#include <algorithm>

#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

void DeviceSet::add(const RegisteredDevice& device) {
  Lock lock(mutex_);
  devices_.push_back(&device);
}

void DeviceSet::remove(const RegisteredDevice& device) {
  Lock lock(mutex_);
  std::erase(devices_, &device);
}

std::size_t DeviceSet::size() const {
  Lock lock(mutex_);
  return devices_.size();
}

bool DeviceSet::contains(const RegisteredDevice& device) const {
  Lock lock(mutex_);
  return std::find(devices_.begin(), devices_.end(), &device) != devices_.end();
}

std::uint32_t DeviceSet::open_count() const {
  Lock lock(mutex_);
  std::uint32_t count = 0;
  for (const RegisteredDevice* device : devices_) count += device->open_count();
  return count;
}

std::shared_ptr<DeviceSet> DeviceSets::get(const void* id) {
  if (id == nullptr) return std::make_shared<DeviceSet>();
  Lock lock(mutex_);
  std::erase_if(sets_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<DeviceSet>& known = sets_[id];
  auto set = known.lock();
  if (!set) known = set = std::make_shared<DeviceSet>();
  return set;
}

}  // namespace umdev::vfio
