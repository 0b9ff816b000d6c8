#include "umdev/vfio/iommu_group.h"

#include <algorithm>

#include "umdev/support/assert.h"

namespace umdev::vfio {

Result<std::shared_ptr<IommuGroup>> IommuGroup::create(std::shared_ptr<Numbers> numbers, std::string name,
                                                       Kind kind, const tree::Directory& iommu_groups,
                                                       Log& log) {
  std::uint32_t number = 0;
  {
    Lock lock(numbers->mutex);
    number = UMDEV_TRY(numbers->ids.allocate());
  }
  // Its constructor is private.
  std::shared_ptr<IommuGroup> group(new IommuGroup(std::move(numbers), number, std::move(name), kind, log));
  UMDEV_TRY(group->publish(iommu_groups));
  return group;
}

IommuGroup::IommuGroup(std::shared_ptr<Numbers> numbers, std::uint32_t number, std::string name, Kind kind,
                       Log& log)
    : numbers_(std::move(numbers)), number_(number), name_(std::move(name)), kind_(kind), log_(log) {}

IommuGroup::~IommuGroup() {
  nodes_.remove();
  Lock lock(numbers_->mutex);
  numbers_->ids.release(number_);
}

Result<> IommuGroup::publish(const tree::Directory& iommu_groups) {
  tree::Transaction transaction(iommu_groups.tree());
  const tree::Directory directory = transaction.add_directory(iommu_groups, std::to_string(number_));
  devices_directory_ = transaction.add_directory(directory, "devices");
  transaction.add_attribute(directory, {.name = "name", .attribute = tree::text_attribute(name_ + "\n")});
  transaction.add_attribute(directory, {.name = "reserved_regions", .attribute = tree::text_attribute("")});
  transaction.add_attribute(directory, {.name = "type", .attribute = tree::text_attribute("unknown\n")});
  nodes_ = UMDEV_TRY(transaction.commit());
  return {};
}

IommuGroup::Member* IommuGroup::find(const device::Device& device) {
  const auto member = std::find_if(members_.begin(), members_.end(),
                                   [&](const Member& known) { return known.device.get() == &device; });
  return member == members_.end() ? nullptr : &*member;
}

Result<> IommuGroup::add_device(const std::shared_ptr<device::Device>& device) {
  {
    Lock lock(mutex_);
    if (find(*device) != nullptr) {
      if (!std::exchange(warned_of_known_device_, true))
        log_.warning("device " + device->name() + " is in IOMMU group " + std::to_string(number_) +
                     " already");
      return fail(EEXIST, "the device is in this IOMMU group already");
    }
    members_.push_back({.device = device});
    device_count_ = members_.size();
    if (claims_ > 0) {
      ++hot_adds_to_live_group_;
      log_.warning("device " + device->name() + " added to live IOMMU group " + std::to_string(number_));
    }
  }
  device->add_bind_observer(shared_from_this());
  // A driver that was bound before the observer was there counts too.
  if (const auto driver = device->driver(); driver && !driver->manages_dma()) set_uses_dma(*device, true);

  tree::Transaction transaction(devices_directory_.tree());
  transaction.add_link(devices_directory_, device->name(), device->directory());
  transaction.add_link(device->directory(), "iommu_group", nodes_.directory());
  auto links = transaction.commit();
  if (!links) {
    remove_device(*device);
    return std::unexpected(links.error());
  }
  {
    Lock lock(mutex_);
    if (Member* member = find(*device)) member->links = std::move(*links);
  }
  notify(IommuGroupEvent::add_device, *device);
  return {};
}

void IommuGroup::remove_device(device::Device& device) {
  Member leaving;
  {
    Lock lock(mutex_);
    Member* member = find(device);
    if (member == nullptr) return;
    leaving = std::move(*member);
    members_.erase(members_.begin() + (member - members_.data()));
    device_count_ = members_.size();
  }
  leaving.device->remove_bind_observer(shared_from_this());
  leaving.links.remove();
  notify(IommuGroupEvent::del_device, device);
}

std::uint32_t IommuGroup::hot_adds_to_live_group() const {
  Lock lock(mutex_);
  return hot_adds_to_live_group_;
}

bool IommuGroup::viable() const {
  Lock lock(mutex_);
  return std::none_of(members_.begin(), members_.end(), [](const Member& member) { return member.uses_dma; });
}

Result<> IommuGroup::claim_dma_owner(const void* owner) {
  Lock lock(mutex_);
  if (claims_ > 0 && owner_ != owner && !is_shared())
    return fail(EBUSY, "the IOMMU group is owned by somebody else");
  for (const Member& member : members_)
    if (member.uses_dma)
      return fail(EBUSY, "a device of the IOMMU group is bound to a driver that uses DMA itself");
  owner_ = owner;
  ++claims_;
  return {};
}

void IommuGroup::release_dma_owner(const void* owner) {
  Lock lock(mutex_);
  UMDEV_ASSERT(claims_ > 0 && (owner_ == owner || is_shared()), "a claim was released that was not held");
  if (--claims_ == 0) owner_ = nullptr;
}

bool IommuGroup::is_owned_by(const void* owner) const {
  Lock lock(mutex_);
  return claims_ > 0 && owner_ == owner;
}

bool IommuGroup::claimed() const {
  Lock lock(mutex_);
  return claims_ > 0;
}

// --- Observers.

void IommuGroup::subscribe(IommuGroupObserver& observer) {
  Lock lock(mutex_);
  observers_.push_back(&observer);
}

void IommuGroup::unsubscribe(IommuGroupObserver& observer) {
  Lock lock(mutex_);
  std::erase(observers_, &observer);
}

void IommuGroup::notify(IommuGroupEvent event, device::Device& device) {
  std::vector<IommuGroupObserver*> observers;
  {
    Lock lock(mutex_);
    observers = observers_;
  }
  for (IommuGroupObserver* observer : observers) observer->iommu_group_changed(event, device);
}

void IommuGroup::set_uses_dma(const device::Device& device, bool uses_dma) {
  Lock lock(mutex_);
  if (Member* member = find(device)) member->uses_dma = uses_dma;
}

Result<> IommuGroup::driver_binding(device::Device& device, device::Driver& driver) {
  if (!driver.manages_dma()) {
    // The claim is the truth: where the kernel of old could only stop the machine, the bind is refused.
    Lock lock(mutex_);
    if (claims_ > 0) return fail(EBUSY, "the IOMMU group of the device is in use");
    if (Member* member = find(device)) member->uses_dma = true;
  }
  notify(IommuGroupEvent::bind_driver, device);
  return {};
}

void IommuGroup::driver_bound(device::Device& device, device::Driver&) {
  notify(IommuGroupEvent::bound_driver, device);
}

void IommuGroup::driver_bind_failed(device::Device& device, device::Driver&) {
  set_uses_dma(device, false);
}

void IommuGroup::driver_unbinding(device::Device& device, device::Driver&) {
  notify(IommuGroupEvent::unbind_driver, device);
}

void IommuGroup::driver_unbound(device::Device& device, device::Driver&) {
  set_uses_dma(device, false);
  notify(IommuGroupEvent::unbound_driver, device);
}

}  // namespace umdev::vfio
