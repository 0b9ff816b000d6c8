#include "umdev/mdev/instance.h"

#include "umdev/mdev/bus.h"
#include "umdev/support/parse.h"

namespace umdev::mdev {
namespace {

// A write of anything but 0 removes the instance, and completes when it is gone: the kernel's blocking write.
void store_remove(device::Device& device, const device::DeviceAttribute&, std::string_view text,
                  Done<std::size_t> done) {
  const auto number = parse_number(text);
  if (!number) return done(std::unexpected(number.error()));
  const std::size_t size = text.size();
  if (*number == 0) return done(size);
  Instance& instance = Instance::from(device);
  auto written = std::make_shared<Done<std::size_t>>(std::move(done));
  instance.mdev_parent().bus().remove(instance.uuid(), RemovePolicy::wait, [written, size](Result<> result) {
    (*written)(result ? Result<std::size_t>(size) : std::unexpected(result.error()));
  });
}

constexpr device::DeviceAttribute remove_attribute{
    .name = "remove", .mode = 0200, .show = nullptr, .store = store_remove, .context = nullptr};
constexpr device::AttributeGroup instance_group{
    .name = {}, .attributes = std::span(&remove_attribute, 1), .is_visible = nullptr};

std::vector<const device::AttributeGroup*> groups_of(const Parent& parent) {
  std::vector<const device::AttributeGroup*> groups{&instance_group};
  const device::AttributeGroups vendor = parent.driver().instance_groups();
  groups.insert(groups.end(), vendor.begin(), vendor.end());
  return groups;
}

}  // namespace

Instance::Instance(std::shared_ptr<Parent> parent, const Type& type, const CreateRequest& request,
                   std::shared_ptr<device::Bus> bus)
    : device::Device(parent->bus().model(), {.name = request.uuid.to_string(),
                                             .parent = parent->device(),
                                             .bus = std::move(bus),
                                             .groups = groups_of(*parent)}),
      mdev_parent_(std::move(parent)),
      type_(type),
      uuid_(request.uuid),
      owner_(request.owner),
      attributes_(request.attributes) {}

void Instance::take_device(Done<std::unique_ptr<vfio::Device>> done) {
  std::unique_ptr<vfio::Device> device;
  {
    Lock lock(mutex_);
    device = std::move(device_);
  }
  if (device) return done(std::move(device));
  // A second binding: the vendor makes the device anew.
  const CreateRequest request{.parent = mdev_parent_->name(),
                              .type = type_.id(),
                              .uuid = uuid_,
                              .owner = owner_,
                              .attributes = attributes_};
  mdev_parent_->make_device(request, type_, std::move(done));
}

void Instance::set_device(std::unique_ptr<vfio::Device> device) {
  Lock lock(mutex_);
  device_ = std::move(device);
}

std::shared_ptr<vfio::RegisteredDevice> Instance::vfio_device() const {
  Lock lock(mutex_);
  return vfio_device_;
}

void Instance::set_vfio_device(std::shared_ptr<vfio::RegisteredDevice> device) {
  Lock lock(mutex_);
  std::swap(vfio_device_, device);
}

void Instance::run_removal(RemovePolicy policy, Done<> done) {
  remove(policy, std::move(done));
  if (policy != RemovePolicy::wait) return;
  // Only now that the removal is the device's operation can another one hurry it; whoever joined meanwhile
  // could not.
  {
    Lock lock(mutex_);
    if (removed_) return;
    waits_for_users_ = removal_joiners_.empty();
    if (waits_for_users_) return;
  }
  remove(RemovePolicy::force, Done<>([](Result<>) {}));
}

bool Instance::force_removal(Done<>& done) {
  {
    Lock lock(mutex_);
    if (removed_) return false;
    removal_joiners_.push_back(std::move(done));
    if (!std::exchange(waits_for_users_, false)) return true;
  }
  // A forced request that finds another removal under way forces that one, and then finds nothing to do.
  remove(RemovePolicy::force, Done<>([](Result<>) {}));
  return true;
}

void Instance::end_removal(const Result<>& result) {
  std::vector<Done<>> joiners;
  {
    Lock lock(mutex_);
    waits_for_users_ = false;
    removed_ = result.has_value();
    joiners.swap(removal_joiners_);
  }
  for (Done<>& joiner : joiners) joiner(result);
}

void Instance::release() {
  std::unique_ptr<vfio::Device> unused;
  {
    Lock lock(mutex_);
    unused = std::move(device_);
  }
  unused.reset();
  lease_.give_back();
  instance_slot_.give_back();
}

}  // namespace umdev::mdev
