#include "umdev/device/driver.h"

#include "umdev/device/device.h"

namespace umdev::device {

Driver::Driver() = default;
Driver::~Driver() = default;

std::shared_ptr<Bus> Driver::bus() const {
  Lock lock(mutex_);
  return bus_;
}

tree::Directory Driver::directory() const {
  Lock lock(mutex_);
  return nodes_ ? nodes_.directory() : tree::Directory();
}

std::size_t Driver::device_count() const {
  Lock lock(mutex_);
  return devices_.size();
}

Result<> Driver::take(const std::shared_ptr<Device>& device) {
  Lock lock(mutex_);
  if (!accepts_ || bus_ != device->bus())
    return fail(ENODEV, "the driver is not registered on the device's bus");
  devices_.insert(device);
  return {};
}

void Driver::give_back(const std::shared_ptr<Device>& device) {
  Lock lock(mutex_);
  devices_.erase(device);
}

}  // namespace umdev::device
