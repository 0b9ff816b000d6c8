#include "umdev/device/device.h"

#include <algorithm>

#include "umdev/device/operation.h"

namespace umdev::device {

namespace {

std::string kernel_name(std::string name) {
  std::ranges::replace(name, '/', '!');
  return name;
}

}  // namespace

Device::Device(Model& model, Spec spec)
    : model_(model),
      name_(kernel_name(std::move(spec.name))),
      parent_(std::move(spec.parent)),
      bus_(std::move(spec.bus)),
      class_(std::move(spec.device_class)),
      number_(std::move(spec.number)),
      groups_(std::move(spec.groups)) {}

Device::~Device() = default;

tree::Directory Device::directory() const {
  Lock lock(mutex_);
  return directory_;
}

std::string Device::path() const {
  Lock lock(mutex_);
  return path_;
}

bool Device::is_added() const {
  Lock lock(mutex_);
  return life_ == Life::added || life_ == Life::removing;
}

std::shared_ptr<Driver> Device::driver() const {
  Lock lock(mutex_);
  return driver_;
}

bool Device::is_bound() const {
  Lock lock(mutex_);
  return bound_;
}

void Device::add_bind_observer(std::shared_ptr<BindObserver> observer) {
  Lock lock(mutex_);
  observers_.push_back(std::move(observer));
}

void Device::remove_bind_observer(const std::shared_ptr<BindObserver>& observer) {
  std::shared_ptr<BindObserver> removed;  // outlives the lock
  Lock lock(mutex_);
  const auto position = std::ranges::find(observers_, observer);
  if (position == observers_.end()) return;
  removed = std::move(*position);
  observers_.erase(position);
}

void Device::set_driver_data(std::shared_ptr<void> data) {
  Lock lock(mutex_);
  driver_data_.swap(data);
}

std::shared_ptr<void> Device::driver_data() const {
  Lock lock(mutex_);
  return driver_data_;
}

std::string dev_driver_string(const Device& device) {
  if (const auto driver = device.driver()) return std::string(driver->name());
  if (device.bus()) return device.bus()->name();
  return device.device_class() ? device.device_class()->name() : std::string();
}

}  // namespace umdev::device
