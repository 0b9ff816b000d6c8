#include "umdev/kernel/world.h"

namespace umdev::kernel {

void World::add_mdev(const Uuid& uuid, std::weak_ptr<MdevRecord> record) {
  Lock lock(mutex_);
  mdevs_[uuid] = std::move(record);
}

std::shared_ptr<MdevRecord> World::find_mdev(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto found = mdevs_.find(uuid);
  return found == mdevs_.end() ? nullptr : found->second.lock();
}

void World::remove_mdev(const Uuid& uuid) {
  Lock lock(mutex_);
  const auto found = mdevs_.find(uuid);
  if (found != mdevs_.end() && found->second.expired()) mdevs_.erase(found);
}

void World::set_kvm(std::uint32_t group, ::kvm* machine) {
  Lock lock(mutex_);
  if (machine != nullptr)
    machines_[group] = machine;
  else
    machines_.erase(group);
}

::kvm* World::kvm_of(std::uint32_t group) const {
  Lock lock(mutex_);
  const auto found = machines_.find(group);
  return found == machines_.end() ? nullptr : found->second;
}

unsigned World::next_major() {
  Lock lock(mutex_);
  return next_major_++;
}

}  // namespace umdev::kernel
