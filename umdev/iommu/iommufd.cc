#include "umdev/iommu/iommufd.h"

#include <utility>

#include "umdev/support/assert.h"

namespace umdev::iommu {

Result<std::uint32_t> Iommufd::add(Object object) {
  if (objects_.size() >= objects_max) return fail(ENOSPC, "too many objects");
  std::uint32_t id = 1;
  for (const auto& [taken, known] : objects_) {
    if (taken != id) break;
    ++id;
  }
  objects_.emplace(id, std::move(object));
  return id;
}

Iommufd::Object* Iommufd::find(std::uint32_t id, Kind kind) {
  const auto found = objects_.find(id);
  return found == objects_.end() || found->second.kind != kind ? nullptr : &found->second;
}

Result<std::uint32_t> Iommufd::add_ioas() {
  Lock lock(mutex_);
  return add({.kind = Kind::ioas, .ioas = std::make_shared<Ioas>(clock_, limits_), .access = nullptr});
}

Result<std::shared_ptr<Ioas>> Iommufd::ioas(std::uint32_t id) const {
  Lock lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end() || found->second.kind != Kind::ioas) return fail(ENOENT, "no such IOAS");
  return found->second.ioas;
}

Result<> Iommufd::destroy(std::uint32_t id) {
  Object gone;  // ends after the lock does
  Lock lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) return fail(ENOENT, "no such object");
  if (found->second.kind == Kind::device || found->second.users != 0)
    return fail(EBUSY, "the object is in use");
  gone = std::move(found->second);
  objects_.erase(found);
  if (compatibility_ == id) compatibility_ = 0;
  if (gone.kind == Kind::page_table) let_go(gone.parent);
  return {};
}

bool Iommufd::empty() const {
  Lock lock(mutex_);
  return objects_.empty();
}

// --- Devices

Result<std::uint32_t> Iommufd::add_device(std::shared_ptr<IoasAccess> access) {
  const auto id = [&] {
    Lock lock(mutex_);
    return add({.kind = Kind::device, .ioas = nullptr, .access = access});
  }();
  if (id) access->set_bound(true);
  return id;
}

void Iommufd::remove_device(std::uint32_t id) {
  detach(id);
  Object gone;
  {
    Lock lock(mutex_);
    if (auto found = objects_.extract(id)) gone = std::move(found.mapped());
  }
  if (gone.access) gone.access->set_bound(false);
}

std::optional<std::uint32_t> Iommufd::device_of(const IommuInstance& access) const {
  Lock lock(mutex_);
  for (const auto& [id, object] : objects_)
    if (object.kind == Kind::device && object.access.get() == &access) return id;
  return std::nullopt;
}

// What an emulated device is here is no device to the kernel's iommufd, but an access.
Result<> Iommufd::check_physical_device(std::uint32_t id) const {
  Lock lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end() || found->second.kind != Kind::device || !found->second.access->is_physical())
    return fail(ENOENT, "no such device with DMA of its own");
  return {};
}

// A user of an object has gone.
void Iommufd::let_go(std::uint32_t id) {
  const auto found = objects_.find(id);
  if (found == objects_.end()) return;
  Object& object = found->second;
  UMDEV_ASSERT(object.users > 0, "an object of an iommufd lost more users than it had");
  if (--object.users != 0 || !object.automatic) return;
  const std::uint32_t parent = object.parent;
  objects_.erase(found);
  let_go(parent);
}

Result<std::uint32_t> Iommufd::add_page_table_of(std::uint32_t ioas, bool automatic) {
  Object* const parent = find(ioas, Kind::ioas);
  if (parent == nullptr) return fail(ENOENT, "no such IOAS");
  const std::uint32_t id = UMDEV_TRY(add({.kind = Kind::page_table,
                                          .ioas = parent->ioas,
                                          .parent = ioas,
                                          .automatic = automatic,
                                          .access = nullptr}));
  ++parent->users;
  return id;
}

// What a device is attached to when it names `id`.
Result<std::uint32_t> Iommufd::find_target(const IoasAccess& access, std::uint32_t id) {
  const auto found = objects_.find(id);
  if (found == objects_.end()) return fail(ENOENT, "no such object");
  if (!access.is_physical()) {
    if (found->second.kind != Kind::ioas) return fail(ENOENT, "an emulated device is attached to an IOAS");
    return id;
  }
  if (found->second.kind == Kind::device) return fail(EINVAL, "a device is nothing to be attached to");
  if (found->second.kind == Kind::page_table) return id;
  for (const auto& [other, object] : objects_)
    if (object.kind == Kind::page_table && object.automatic && object.parent == id) return other;
  return add_page_table_of(id, /*automatic=*/true);
}

Result<std::uint32_t> Iommufd::attach(std::uint32_t device, std::uint32_t id) {
  std::shared_ptr<IoasAccess> access;
  std::shared_ptr<Ioas> ioas;
  std::uint32_t target = 0;
  {
    Lock lock(mutex_);
    const Object* const bound = find(device, Kind::device);
    if (bound == nullptr) return fail(ENOENT, "the device is not bound");
    access = bound->access;
    target = UMDEV_TRY(find_target(*access, id));
    Object& object = objects_.at(target);
    ioas = object.ioas;
    ++object.users;
  }
  const Result<> attached = access->attach(std::move(ioas));
  Lock lock(mutex_);
  Object* const bound = find(device, Kind::device);
  UMDEV_ASSERT(bound != nullptr, "a device was unbound while it was being attached");
  if (!attached) {
    let_go(target);
    return std::unexpected(attached.error());
  }
  const std::uint32_t before = std::exchange(bound->parent, target);
  if (before != 0) let_go(before);
  return target;
}

void Iommufd::detach(std::uint32_t device) {
  std::shared_ptr<IoasAccess> access;
  {
    Lock lock(mutex_);
    const Object* const bound = find(device, Kind::device);
    if (bound == nullptr || bound->parent == 0) return;
    access = bound->access;
  }
  access->detach();
  Lock lock(mutex_);
  Object* const bound = find(device, Kind::device);
  if (bound != nullptr) let_go(std::exchange(bound->parent, 0));
}

Result<std::uint32_t> Iommufd::add_page_table(std::uint32_t device, std::uint32_t ioas) {
  Lock lock(mutex_);
  const Object* const bound = find(device, Kind::device);
  if (bound == nullptr || !bound->access->is_physical())
    return fail(ENOENT, "no such device with DMA of its own");
  if (objects_.contains(ioas) && find(ioas, Kind::ioas) == nullptr)
    return fail(EINVAL, "a page table is made of an IOAS");
  return add_page_table_of(ioas, /*automatic=*/false);
}

// --- VFIO's own commands

Result<std::uint32_t> Iommufd::compatibility_ioas() const {
  Lock lock(mutex_);
  if (compatibility_ == 0) return fail(ENODEV, "there is no IOAS for VFIO's commands");
  return compatibility_;
}

Result<> Iommufd::set_compatibility_ioas(std::uint32_t id) {
  Lock lock(mutex_);
  if (find(id, Kind::ioas) == nullptr) return fail(ENOENT, "no such IOAS");
  compatibility_ = id;
  return {};
}

void Iommufd::clear_compatibility_ioas() {
  Lock lock(mutex_);
  compatibility_ = 0;
}

Result<std::shared_ptr<Ioas>> Iommufd::need_compatibility_ioas() {
  Lock lock(mutex_);
  if (compatibility_ == 0)
    compatibility_ = UMDEV_TRY(
        add({.kind = Kind::ioas, .ioas = std::make_shared<Ioas>(clock_, limits_), .access = nullptr}));
  return objects_.at(compatibility_).ioas;
}

}  // namespace umdev::iommu
