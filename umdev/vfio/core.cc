#include "umdev/vfio/core.h"

#include "umdev/device/model.h"
#include "umdev/support/assert.h"
#include "umdev/vfio/publisher.h"

namespace umdev::vfio {
namespace {

class IommuDriverEntry final : public Registration::Entry {
 public:
  IommuDriverEntry(std::shared_ptr<IommuDriverList> list, std::shared_ptr<iommu::IommuDriver> driver)
      : list_(std::move(list)), driver_(std::move(driver)) {}
  void unregister(RemovePolicy, Done<> done) override {
    list_->remove(*driver_);
    done();
  }

 private:
  const std::shared_ptr<IommuDriverList> list_;
  const std::shared_ptr<iommu::IommuDriver> driver_;
};

}  // namespace

// The registration of one device: the steps of its end.
class Core::DeviceEntry final : public Registration::Entry {
 public:
  DeviceEntry(Core& core, std::shared_ptr<RegisteredDevice> device, bool emulated)
      : core_(core), device_(std::move(device)), emulated_(emulated) {}

  void unregister(RemovePolicy policy, Done<> done) override {
    if (const auto begun = device_->begin_unregister(policy); !begun)
      return done(std::unexpected(begun.error()));
    core_.hide_device(device_);
    done_ = std::move(done);
    device_->wait_for_users(policy,
                            [self = std::static_pointer_cast<DeviceEntry>(shared_from_this())](Result<>) {
                              self->core_.finish_device(self->device_, self->emulated_);
                              self->done_();
                            });
  }

 private:
  Core& core_;
  const std::shared_ptr<RegisteredDevice> device_;
  const bool emulated_;
  Done<> done_;
};

Result<std::unique_ptr<Core>> Core::create(CoreConfig config) {
  auto publisher = UMDEV_TRY(Publisher::create(*config.model));
  return std::unique_ptr<Core>(new Core(config, std::move(publisher)));
}

Core::Core(CoreConfig config, std::unique_ptr<Publisher> publisher)
    : config_(config),
      publisher_(std::move(publisher)),
      minors_(config.limits.group_minors),
      indexes_(UINT32_MAX) {}

Core::~Core() {
  UMDEV_ASSERT(groups_.empty(), "the core went away under its devices");
}

Result<Registration> Core::register_iommu_driver(std::shared_ptr<iommu::IommuDriver> driver) {
  UMDEV_TRY(iommu_drivers_->add(driver));
  return Registration(std::make_shared<IommuDriverEntry>(iommu_drivers_, std::move(driver)));
}

// --- IOMMU groups.

Result<std::shared_ptr<IommuGroup>> Core::create_iommu_group(std::string name, IommuGroup::Kind kind) {
  return IommuGroup::create(group_numbers_, std::move(name), kind, config_.model->iommu_groups(),
                            host().log());
}

Result<> Core::add_to_iommu_group(const std::shared_ptr<IommuGroup>& group,
                                  const std::shared_ptr<device::Device>& device) {
  {
    Lock lock(mutex_);
    std::weak_ptr<IommuGroup>& known = members_[device.get()];
    const auto other = known.lock();
    if (other && other != group) return fail(EBUSY, "the device is in another IOMMU group");
    known = group;
  }
  return group->add_device(device);
}

void Core::remove_from_iommu_group(const std::shared_ptr<device::Device>& device) {
  std::shared_ptr<IommuGroup> group;
  {
    Lock lock(mutex_);
    const auto member = members_.find(device.get());
    if (member == members_.end()) return;
    group = member->second.lock();
    members_.erase(member);
  }
  if (group) group->remove_device(*device);
}

std::shared_ptr<IommuGroup> Core::iommu_group_of(const std::shared_ptr<device::Device>& device,
                                                 bool allow_no_iommu) {
  {
    Lock lock(mutex_);
    if (const auto member = members_.find(device.get()); member != members_.end())
      if (auto group = member->second.lock()) return group;
  }
  if (!allow_no_iommu || !config_.enable_unsafe_noiommu_mode) return nullptr;
  auto group = create_iommu_group("vfio-noiommu", IommuGroup::Kind::no_iommu);
  if (!group || !add_to_iommu_group(*group, device)) return nullptr;
  host().log().warning("device " + device->name() + " is used without an IOMMU: it can reach all memory");
  return *group;
}

// --- Devices.

Result<DeviceRegistration> Core::register_device(std::unique_ptr<Device> device, const DeviceSpec& spec) {
  const auto group = iommu_group_of(spec.parent, /*allow_no_iommu=*/true);
  if (!group) return fail(EINVAL, "the device is in no IOMMU group");
  return add_device(std::move(device), spec, group,
                    /*emulated=*/group->kind() == IommuGroup::Kind::no_iommu);
}

Result<DeviceRegistration> Core::register_emulated_device(std::unique_ptr<Device> device,
                                                          const DeviceSpec& spec) {
  if (iommu_group_of(spec.parent)) return fail(EBUSY, "the device is in an IOMMU group already");
  const auto group = UMDEV_TRY(create_iommu_group("vfio-noiommu", IommuGroup::Kind::emulated));
  if (device->users_max() > 1) group->share();
  UMDEV_TRY(add_to_iommu_group(group, spec.parent));
  const auto parent = spec.parent;
  auto registration = add_device(std::move(device), spec, group, /*emulated=*/true);
  if (!registration) remove_from_iommu_group(parent);
  return registration;
}

Result<DeviceRegistration> Core::add_device(std::unique_ptr<Device> device, const DeviceSpec& spec,
                                            const std::shared_ptr<IommuGroup>& iommu_group, bool emulated) {
  std::shared_ptr<RegisteredDevice> registered;
  {
    Lock lock(mutex_);
    GroupRecord* record = UMDEV_TRY(find_or_create_group(iommu_group));
    for (const auto& known : record->group->devices())
      if (known->parent() == spec.parent) return fail(EBUSY, "the device is registered with VFIO already");
    const std::uint32_t index = UMDEV_TRY(indexes_.allocate());
    registered = std::make_shared<RegisteredDevice>(
        std::move(device), RegisteredDevice::Config{.host = config_.host,
                                                    .limits = &config_.limits,
                                                    .watcher = config_.watcher,
                                                    .name = spec.parent->name(),
                                                    .parent = spec.parent,
                                                    .group = record->group,
                                                    .device_set = device_sets_.get(spec.device_set),
                                                    .index = index,
                                                    .next_user_id = next_user_id_});
    ++record->devices;
    devices_.insert(registered);
  }
  auto published = publish(registered);
  if (!published) {
    [[maybe_unused]] const Result<> begun = registered->begin_unregister(RemovePolicy::force);
    forget_device(registered);
    return std::unexpected(published.error());
  }
  // From here on it can be opened: the device was complete when it was given to us, and this is the last
  // step.
  registered->group()->add_device(registered);
  auto entry = std::make_shared<DeviceEntry>(*this, registered, emulated);
  return DeviceRegistration{.device = std::move(registered), .registration = Registration(std::move(entry))};
}

Result<Core::GroupRecord*> Core::find_or_create_group(const std::shared_ptr<IommuGroup>& iommu_group) {
  GroupRecord& record = groups_[iommu_group->number()];
  if (record.group) return &record;
  const auto minor = minors_.allocate();
  if (!minor) {
    groups_.erase(iommu_group->number());
    return std::unexpected(minor.error());
  }
  record.group = std::make_shared<Group>(iommu_group, *minor);
  return &record;
}

// The group's node comes with its first device; the devices that race for it publish it once.
Result<> Core::publish(const std::shared_ptr<RegisteredDevice>& device) {
  {
    Lock lock(mutex_);
    GroupRecord& record = groups_.at(device->group()->iommu_group().number());
    if (!record.node)
      record.node = UMDEV_TRY(publisher_->publish_group(*record.group, device->parent()->event_batch()));
  }
  auto node = UMDEV_TRY(publisher_->publish_device(device->parent(), device->index()));
  Lock lock(mutex_);
  nodes_[device.get()] = std::move(node);
  return {};
}

DeviceRef Core::find(const device::Device& device) const {
  std::shared_ptr<Group> group;
  {
    Lock lock(mutex_);
    const auto member = members_.find(&device);
    if (member == members_.end()) return {};
    const auto iommu_group = member->second.lock();
    if (!iommu_group) return {};
    const auto record = groups_.find(iommu_group->number());
    if (record == groups_.end()) return {};
    group = record->second.group;
  }
  for (auto& known : group->devices())
    if (known->parent().get() == &device) return DeviceRef::try_get(known);
  return {};
}

DeviceRef Core::find_index(std::uint32_t index) const {
  std::shared_ptr<RegisteredDevice> found;
  {
    Lock lock(mutex_);
    for (const auto& device : devices_)
      if (device->index() == index) found = device;
  }
  return found ? DeviceRef::try_get(std::move(found)) : DeviceRef();
}

// --- The end of a device.

void Core::hide_device(const std::shared_ptr<RegisteredDevice>& device) {
  device->group()->remove_device(*device);
  std::shared_ptr<device::Device> node;
  {
    Lock lock(mutex_);
    if (auto found = nodes_.extract(device.get())) node = std::move(found.mapped());
  }
  if (node) node->remove(RemovePolicy::force, [](Result<>) {});
}

void Core::finish_device(const std::shared_ptr<RegisteredDevice>& device, bool emulated) {
  if (!device->destroy()) abandoned_devices_.fetch_add(1);
  forget_device(device);
  if (emulated) remove_from_iommu_group(device->parent());
}

// Takes the device off the core's books; its group goes with its last device.
void Core::forget_device(const std::shared_ptr<RegisteredDevice>& device) {
  std::shared_ptr<Group> last;
  std::shared_ptr<device::Device> node;
  {
    Lock lock(mutex_);
    devices_.erase(device);
    indexes_.release(device->index());
    const auto record = groups_.find(device->group()->iommu_group().number());
    if (--record->second.devices == 0) {
      last = std::move(record->second.group);
      node = std::move(record->second.node);
      minors_.release(last->minor());
      groups_.erase(record);
    }
  }
  if (last) last->retire();
  if (node) node->remove(RemovePolicy::force, [](Result<>) {});
}

// --- Files.

std::shared_ptr<Container> Core::open_container(Caller caller) {
  return std::make_shared<Container>(iommu_drivers_, caller);
}

Result<std::shared_ptr<GroupFile>> Core::open_group_minor(std::uint32_t minor, Caller caller) {
  std::shared_ptr<Group> group;
  {
    Lock lock(mutex_);
    for (const auto& [number, record] : groups_)
      if (record.group->minor() == minor) group = record.group;
  }
  if (!group) return fail(ENODEV, "no group has this minor");
  return group->open(caller);
}

Result<std::shared_ptr<GroupFile>> Core::open_group(std::uint32_t iommu_group, Caller caller) {
  std::shared_ptr<Group> group;
  {
    Lock lock(mutex_);
    if (const auto record = groups_.find(iommu_group); record != groups_.end()) group = record->second.group;
  }
  if (!group) return fail(ENODEV, "no such group");
  return group->open(caller);
}

std::vector<DeviceRef> Core::devices() const {
  std::vector<std::shared_ptr<RegisteredDevice>> registered;
  {
    Lock lock(mutex_);
    registered.assign(devices_.begin(), devices_.end());
  }
  std::vector<DeviceRef> devices;
  for (auto& device : registered)
    if (auto reference = DeviceRef::try_get(std::move(device))) devices.push_back(std::move(reference));
  return devices;
}

CoreStatus Core::status() const {
  Lock lock(mutex_);
  CoreStatus status{.devices = static_cast<std::uint32_t>(devices_.size()),
                    .groups = static_cast<std::uint32_t>(groups_.size()),
                    .abandoned_devices = abandoned_devices_.load()};
  for (const auto& device : devices_) status.open_files += device->open_count();
  return status;
}

}  // namespace umdev::vfio
