#include "umdev/vfio/container.h"

#include <algorithm>

#include "umdev/support/assert.h"
#include "umdev/vfio/iommu_group.h"

namespace umdev::vfio {
namespace {

iommu::GroupAttachment attachment_of(const IommuGroup& group) {
  return {.iommu_group = group.number(), .emulated = group.kind() == IommuGroup::Kind::emulated};
}

}  // namespace

Result<> IommuDriverList::add(std::shared_ptr<iommu::IommuDriver> driver) {
  if (driver->registers_devices() != driver->unregisters_devices())
    return fail(EINVAL, "an IOMMU driver registers and unregisters devices, or neither");
  Lock lock(mutex_);
  for (const auto& known : drivers_)
    if (known == driver) return fail(EINVAL, "this IOMMU driver is registered already");
  drivers_.insert(drivers_.begin(), std::move(driver));
  return {};
}

void IommuDriverList::remove(const iommu::IommuDriver& driver) {
  Lock lock(mutex_);
  std::erase_if(drivers_, [&](const auto& known) { return known.get() == &driver; });
}

std::vector<std::shared_ptr<iommu::IommuDriver>> IommuDriverList::snapshot() const {
  Lock lock(mutex_);
  return drivers_;
}

Container::~Container() {
  UMDEV_ASSERT(groups_.empty(), "a container went away under its groups");
}

bool Container::driver_allowed(const iommu::IommuDriver& driver) const {
  return driver.no_iommu() == no_iommu_;
}

int Container::check_extension(std::uint32_t extension) const {
  std::shared_ptr<iommu::IommuInstance> instance;
  bool has_groups = false;
  bool no_iommu = false;
  {
    Lock lock(mutex_);
    instance = instance_;
    has_groups = !groups_.empty();
    no_iommu = no_iommu_;
  }
  // With no lock held: a driver that is a module's may take its time.
  if (instance) return instance->check_extension(extension);
  for (const auto& driver : drivers_->snapshot()) {
    // Until groups are in, the container may still become one of either kind.
    if (has_groups && driver->no_iommu() != no_iommu) continue;
    if (const int answer = driver->check_extension(extension); answer > 0) return answer;
  }
  return 0;
}

Result<> Container::set_iommu(std::uint32_t type) {
  Lock lock(mutex_);
  if (groups_.empty()) return fail(EINVAL, "the container has no group");
  if (instance_) return fail(EINVAL, "the container has an IOMMU driver already");
  Result<> result = fail(ENODEV, "no IOMMU driver takes this type");
  for (auto& driver : drivers_->snapshot()) {
    if (!driver_allowed(*driver) || driver->check_extension(type) <= 0) continue;
    if (driver->no_iommu() && !caller_.sys_rawio) {
      result = fail(EPERM, "no-iommu mode needs CAP_SYS_RAWIO");
      continue;
    }
    auto instance = driver->open(type);
    if (!instance) {
      result = std::unexpected(instance.error());
      continue;
    }
    result = attach_all(**instance);
    if (!result) continue;
    driver_ = std::move(driver);
    instance_ = std::move(*instance);
    return {};
  }
  return result;
}

Result<> Container::attach_all(iommu::IommuInstance& instance) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Result<> attached = instance.attach_group(attachment_of(*groups_[i]));
    if (attached) continue;
    while (i-- > 0) instance.detach_group(attachment_of(*groups_[i]));
    return attached;
  }
  return {};
}

Result<std::shared_ptr<iommu::IommuInstance>> Container::iommu() const {
  Lock lock(mutex_);
  if (!instance_) return fail(EINVAL, "the container has no IOMMU driver");
  return instance_;
}

Result<> Container::attach_group(const std::shared_ptr<IommuGroup>& group, Caller caller) {
  const bool no_iommu = group->kind() == IommuGroup::Kind::no_iommu;
  Lock lock(mutex_);
  if (no_iommu && !caller.sys_rawio) return fail(EPERM, "a no-iommu group needs CAP_SYS_RAWIO");
  if (!groups_.empty() && no_iommu != no_iommu_)
    return fail(EPERM, "a container never mixes real and no-iommu groups");
  // Of a shared group the claim says nothing.
  if (std::ranges::find(groups_, group) != groups_.end())
    return fail(EBUSY, "the group is in this container already");
  if (!no_iommu) UMDEV_TRY(group->claim_dma_owner(this));
  if (instance_) {
    if (Result<> attached = instance_->attach_group(attachment_of(*group)); !attached) {
      if (!no_iommu) group->release_dma_owner(this);
      return attached;
    }
  }
  no_iommu_ = no_iommu;
  groups_.push_back(group);
  return {};
}

void Container::detach_group(const IommuGroup& group) {
  // What the last group takes with it is dropped after the lock is.
  std::shared_ptr<IommuGroup> leaving;
  std::shared_ptr<iommu::IommuDriver> driver;
  std::shared_ptr<iommu::IommuInstance> instance;
  Lock lock(mutex_);
  const auto member =
      std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g.get() == &group; });
  UMDEV_ASSERT(member != groups_.end(), "a group left a container that it was not in");
  leaving = std::move(*member);
  groups_.erase(member);
  if (instance_) instance_->detach_group(attachment_of(*leaving));
  if (leaving->kind() != IommuGroup::Kind::no_iommu) leaving->release_dma_owner(this);
  if (!groups_.empty() || iommufd_) return;
  instance = std::move(instance_);
  driver = std::move(driver_);
  no_iommu_ = false;
}

std::size_t Container::group_count() const {
  Lock lock(mutex_);
  return groups_.size();
}

}  // namespace umdev::vfio
