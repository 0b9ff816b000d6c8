#include "umdev/kernel/mdev_record.h"

#include <cstring>

namespace umdev::kernel {

MdevRecord::MdevRecord(Module& module, const Uuid& uuid, ::mdev_type* type) : device_(module) {
  device_.name = uuid.to_string();
  device_.mdev = this;
  mdev_.dev.kobj.name = device_.name.c_str();
  mdev_.dev.umdev = &device_;
  mdev_.type = type;
  if (type != nullptr && type->parent != nullptr) mdev_.dev.parent = type->parent->dev;
  const auto bytes = uuid.bytes();
  static_assert(sizeof(mdev_.uuid.b) == sizeof(bytes));
  std::memcpy(mdev_.uuid.b, bytes.data(), sizeof(bytes));
  mdev_.umdev = this;
}

MdevRecord::~MdevRecord() = default;

void MdevRecord::set_instance(const std::shared_ptr<mdev::Instance>& instance) {
  device_.node = instance;
  mdev_.active = true;
}

std::shared_ptr<VfioRecord> MdevRecord::vfio() const {
  Lock lock(mutex_);
  return vfio_.lock();
}

void MdevRecord::set_vfio(std::weak_ptr<VfioRecord> vfio) {
  Lock lock(mutex_);
  vfio_ = std::move(vfio);
}

RemovePolicy MdevRecord::removal() const {
  Lock lock(mutex_);
  return removal_;
}

void MdevRecord::set_removal(RemovePolicy policy) {
  Lock lock(mutex_);
  removal_ = policy;
}

MdevRecord* MdevRecord::of(const device::Device& device) {
  // Only drivers of modules put a record there, and only they ask.
  return static_cast<MdevRecord*>(device.driver_data().get());
}

}  // namespace umdev::kernel
