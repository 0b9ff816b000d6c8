#include "umdev/kernel/mdev_record.h"

#include <cstring>
#include <string>

#include "umdev/kernel/module.h"

namespace umdev::kernel {

std::shared_ptr<MdevRecord> MdevRecord::make(Module& module, const Uuid& uuid, ::mdev_type* type) {
  std::unique_ptr<MdevRecord> made(new MdevRecord(module, uuid, type));  // private
  std::shared_ptr<MdevRecord> record(made.release(), &MdevRecord::end);
  module.world().add_mdev(uuid, record);
  return record;
}

void MdevRecord::end(MdevRecord* last) {
  std::unique_ptr<MdevRecord> record(last);
  const Remove remove = record->remove();
  if (remove == nullptr) return;
  Module& module = record->module();
  // The name is the record's, which the call owns.
  const CallName name{.module = &module, .callback = "remove", .device = ""};
  const auto answer =
      module.world().calls().ask(name, [remove, owned = std::move(record)](Call& call) -> Result<int> {
        call.pages = &owned->pages();
        return remove(&owned->mdev());
      });
  if (answer && *answer != 0)
    module.world().log().warning("module " + std::string(module.name()) +
                                 ": remove failed, and the device is gone all the same");
}

MdevRecord::MdevRecord(Module& module, const Uuid& uuid, ::mdev_type* type) : uuid_(uuid), device_(module) {
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

MdevRecord::~MdevRecord() {
  module().world().remove_mdev(uuid_);
}

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

}  // namespace umdev::kernel
