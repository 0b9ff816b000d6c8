#include "umdev/mdev/registry.h"

#include "umdev/mdev/instance.h"

namespace umdev::mdev {

Result<> Registry::reserve(const Uuid& uuid) {
  Lock lock(mutex_);
  if (entries_.contains(uuid)) return fail(EEXIST, "this UUID is taken");
  if (entries_.size() >= limit_) return fail(ENOSPC, "the limit of instances is reached");
  entries_.try_emplace(uuid);
  return {};
}

void Registry::activate(const Uuid& uuid, std::shared_ptr<Instance> instance) {
  Lock lock(mutex_);
  entries_.at(uuid) = {InstanceState::active, std::move(instance)};
}

Result<> Registry::begin_removal(const Instance& instance) {
  Lock lock(mutex_);
  const auto entry = entries_.find(instance.uuid());
  if (entry == entries_.end() || entry->second.instance.get() != &instance)
    return fail(ENODEV, "the instance is gone");
  if (entry->second.state != InstanceState::active) return fail(EAGAIN, "the instance is being removed");
  entry->second.state = InstanceState::removing;
  return {};
}

void Registry::cancel_removal(const Uuid& uuid) {
  Lock lock(mutex_);
  entries_.at(uuid).state = InstanceState::active;
}

void Registry::release(const Uuid& uuid) {
  std::shared_ptr<Instance> last;  // dropped after the lock
  Lock lock(mutex_);
  if (auto entry = entries_.extract(uuid)) last = std::move(entry.mapped().instance);
}

Result<std::shared_ptr<Instance>> Registry::find(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto entry = entries_.find(uuid);
  if (entry == entries_.end()) return fail(ENODEV, "no such instance");
  if (!entry->second.instance) return fail(EAGAIN, "the instance is being created");
  return entry->second.instance;
}

std::shared_ptr<Instance> Registry::find_removing(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto entry = entries_.find(uuid);
  const bool found = entry != entries_.end() && entry->second.state == InstanceState::removing;
  return found ? entry->second.instance : nullptr;
}

std::vector<std::shared_ptr<Instance>> Registry::list() const {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<Instance>> instances;
  instances.reserve(entries_.size());
  for (const auto& [uuid, entry] : entries_)
    if (entry.instance) instances.push_back(entry.instance);
  return instances;
}

Result<InstanceState> Registry::state(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto entry = entries_.find(uuid);
  if (entry == entries_.end()) return fail(ENODEV, "no such instance");
  return entry->second.state;
}

std::size_t Registry::size() const {
  Lock lock(mutex_);
  return entries_.size();
}

}  // namespace umdev::mdev
