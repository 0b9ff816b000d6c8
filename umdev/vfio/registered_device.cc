#include "umdev/vfio/registered_device.h"

#include <algorithm>

#include "umdev/support/deadline.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/device_wrapper.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/each_file.h"
#include "umdev/vfio/first_open.h"
#include "umdev/vfio/group.h"

namespace umdev::vfio {

RegisteredDevice::RegisteredDevice(std::unique_ptr<Device> device, Config config)
    : config_(std::move(config)), device_(std::move(device)) {
  config_.device_set->add(*this);
}

RegisteredDevice::~RegisteredDevice() {
  config_.device_set->remove(*this);
}

void RegisteredDevice::set_second_name(std::string name) {
  Lock lock(mutex_);
  second_name_ = std::move(name);
}

std::string RegisteredDevice::second_name() const {
  Lock lock(mutex_);
  return second_name_;
}

int RegisteredDevice::match(std::string_view name) const {
  const Stay stay = enter();
  {
    Lock lock(mutex_);
    if (phase_ != Phase::registered) return 0;
    if (!second_name_.empty() && second_name_ == name) return 1;
  }
  return driver_call([&] { return device_->match(config_.name, name); });
}

Result<> RegisteredDevice::match_token(const std::optional<Uuid>& token) const {
  const Stay stay = enter();
  {
    Lock lock(mutex_);
    if (phase_ != Phase::registered) return fail(ENODEV, "the device is being removed");
  }
  return driver_call([&] { return device_->match_token(token); });
}

bool RegisteredDevice::try_get() {
  Lock lock(mutex_);
  if (phase_ != Phase::registered) return false;
  ++references_;
  return true;
}

void RegisteredDevice::put() {
  {
    Lock lock(mutex_);
    UMDEV_ASSERT(references_ > 0, "a device reference was given back twice");
    --references_;
  }
  finish_if_unused();
}

std::uint32_t RegisteredDevice::reference_count() const {
  Lock lock(mutex_);
  return references_;
}

// A PCI function that has failed tells whoever wants to know (ERR, as vfio-pci does for an error that
// hardware does not mend). One that reports no errors has no such index, and nothing happens.
static void raise_error_interrupt(RegisteredDevice& device) {
  const auto stay = device.enter();
  const auto file = device.open_file();
  if (file && (device.device().info().flags & abi::vfio_device_flags_pci) != 0)
    file->user().irqs().raise(abi::vfio_pci_err_irq_index);
}

void RegisteredDevice::fault(std::string_view why) {
  if (faulted_.exchange(true, std::memory_order_acq_rel)) return;
  host().log().error("device " + name() + " (" + std::string(device_->name()) +
                     ") is faulted: " + std::string(why));
  host().post([self = shared_from_this()] { raise_error_interrupt(*self); });
}

// --- Opening and closing, on the device set's queue.

void RegisteredDevice::learn_regions() {
  const DeviceInfo info = device_->info();
  std::vector<RegionBounds> bounds(info.num_regions);
  for (std::uint32_t index = 0; index < info.num_regions; ++index)
    if (const auto region = device_->region_info(index)) bounds[index] = {region->flags, region->size};
  region_bounds_ = std::move(bounds);
}

void RegisteredDevice::open_user(std::shared_ptr<DeviceUser> user, Done<std::shared_ptr<DeviceUser>> done) {
  if (faulted()) return done(fail(EIO, "the device is faulted"));
  for (OpenUser& known : users_) {
    if (!user->container() || known.user->container() != user->container()) continue;
    return open_again(known.user, std::move(done));
  }
  // As in the kernel, a device has one container at a time, unless it says otherwise.
  if (users_.size() >= std::max(1U, device_->users_max()))
    return done(fail(user->container() ? EBUSY : EINVAL, "the device is open elsewhere"));
  user->attach();
  struct Opening {
    std::shared_ptr<RegisteredDevice> device;
    std::shared_ptr<DeviceUser> user;
    Done<std::shared_ptr<DeviceUser>> done;
  };
  auto opening = std::make_shared<Opening>(shared_from_this(), std::move(user), std::move(done));
  first_open(opening->user, [opening](Result<> result) {
    if (!result) {
      opening->user->detach();
      return opening->done(std::unexpected(result.error()));
    }
    RegisteredDevice& self = *opening->device;
    if (self.users_.empty()) driver_call([&] { self.learn_regions(); });
    self.users_.push_back({.user = opening->user, .files = 1});
    ++self.open_count_;
    opening->done(std::move(opening->user));
  });
}

// The queue keeps the user open meanwhile.
void RegisteredDevice::open_again(std::shared_ptr<DeviceUser> user, Done<std::shared_ptr<DeviceUser>> done) {
  struct Opening {
    std::shared_ptr<RegisteredDevice> device;
    std::shared_ptr<DeviceUser> user;
    Done<std::shared_ptr<DeviceUser>> done;
  };
  auto opening = std::make_shared<Opening>(shared_from_this(), std::move(user), std::move(done));
  Done<> opened([opening](Result<> result) {
    if (!result) return opening->done(std::unexpected(result.error()));
    RegisteredDevice& self = *opening->device;
    ++std::ranges::find(self.users_, opening->user, &OpenUser::user)->files;
    ++self.open_count_;
    opening->done(std::move(opening->user));
  });
  auto* const each_file = facet_of<EachFile>(*device_);
  if (each_file == nullptr) return opened();
  Done<> bounded = in_time(std::move(opened), "open_file was not completed in time");
  driver_call([&] { each_file->open_file(*opening->user, std::move(bounded)); });
}

void RegisteredDevice::close_user(DeviceUser& user, Done<> done) {
  const auto known =
      std::ranges::find_if(users_, [&](const OpenUser& each) { return each.user.get() == &user; });
  UMDEV_ASSERT(known != users_.end(), "a device was closed more often than it was opened");
  --open_count_;
  if (--known->files > 0) {
    auto* const each_file = facet_of<EachFile>(*device_);
    if (each_file == nullptr) return done();
    Done<> bounded = in_time(std::move(done), "close_file was not completed in time");
    return driver_call([&] { each_file->close_file(user, std::move(bounded)); });
  }
  struct Closing {
    std::shared_ptr<DeviceUser> user;
    Done<> done;
  };
  auto closing = std::make_shared<Closing>(std::move(known->user), std::move(done));
  users_.erase(known);
  closing->user->irqs().disable_all();
  if (const auto& migration = closing->user->migration()) migration->reset(*closing->user);
  last_close(closing->user, [closing](Result<>) {
    // The order of the kernel's last close: the driver first, then the container's use, then (by the caller)
    // the reference.
    closing->user->detach();
    closing->done();
  });
}

void RegisteredDevice::add_file(const std::shared_ptr<DeviceFile>& file) {
  {
    Lock lock(mutex_);
    std::erase_if(files_, [](const auto& known) { return known.expired(); });
    files_.push_back(file);
    if (!revoked_) return;
  }
  file->revoke();  // opened in the moment in which the device was taken away
}

std::vector<std::shared_ptr<DeviceFile>> RegisteredDevice::live_files() {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<DeviceFile>> files;
  for (const auto& weak : files_)
    if (auto file = weak.lock()) files.push_back(std::move(file));
  return files;
}

std::shared_ptr<DeviceFile> RegisteredDevice::open_file() {
  const auto files = live_files();
  return files.empty() ? nullptr : files.front();
}

void RegisteredDevice::set_arrival(std::shared_ptr<Arrival> arrival) {
  Lock lock(mutex_);
  std::swap(arrival_, arrival);
}

std::shared_ptr<Arrival> RegisteredDevice::arrival() const {
  Lock lock(mutex_);
  return arrival_;
}

std::shared_ptr<Arrival> RegisteredDevice::take_arrival() {
  Lock lock(mutex_);
  return std::exchange(arrival_, nullptr);
}

// --- The end.

Result<> RegisteredDevice::begin_unregister(RemovePolicy policy) {
  Lock lock(mutex_);
  UMDEV_ASSERT(phase_ == Phase::registered, "a device was unregistered twice");
  if (policy == RemovePolicy::busy && references_ > 0) return fail(EBUSY, "the device is in use");
  phase_ = Phase::unregistering;
  return {};
}

void RegisteredDevice::wait_for_users(RemovePolicy policy, Done<> finished) {
  const bool force = policy == RemovePolicy::force;
  bool in_use = false;
  {
    Lock lock(mutex_);
    UMDEV_ASSERT(phase_ == Phase::unregistering, "waiting for users of a device that stays");
    finished_ = std::move(finished);
    in_use = references_ > 0;
  }
  if (in_use) {
    arm_cut_timer(force ? limits().force_deadline : limits().remove_deadline);
    if (force) revoke_files();
    ask_again();
  }
  finish_if_unused();
}

void RegisteredDevice::arm_cut_timer(Duration limit) {
  Timer timer = host().clock().after(limit, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->host().post([self] { self->cut_files(); });
  });
  Lock lock(mutex_);
  if (phase_ == Phase::unregistering) std::swap(force_timer_, timer);
}

void RegisteredDevice::force() {
  {
    Lock lock(mutex_);
    if (phase_ != Phase::unregistering || revoked_) return;
  }
  arm_cut_timer(limits().force_deadline);
  revoke_files();
}

bool RegisteredDevice::destroy() {
  if (stays_.load() == 0) {
    device_.reset();
    return true;
  }
  host().log().error("device " + name() + " is abandoned: a call is stuck in its driver");
  return false;
}

void RegisteredDevice::ask_again() {
  unsigned count = 0;
  const Stay stay = enter();
  {
    Lock lock(mutex_);
    if (phase_ != Phase::unregistering || references_ == 0) return;
    count = requests_++;
  }
  driver_call([&] { device_->request(count); });
  for (const auto& file : live_files()) file->announce_request(count);
  arm_request_timer();
}

void RegisteredDevice::arm_request_timer() {
  Timer timer = host().clock().after(limits().request_period, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->host().post([self] { self->ask_again(); });
  });
  Lock lock(mutex_);
  if (phase_ == Phase::unregistering) request_timer_ = std::move(timer);
}

void RegisteredDevice::revoke_files() {
  {
    Lock lock(mutex_);
    revoked_ = true;
  }
  for (const auto& file : live_files()) file->revoke();
}

// The end of patience: whoever still has the device open is cut off, which closes it.
void RegisteredDevice::cut_files() {
  {
    Lock lock(mutex_);
    if (phase_ != Phase::unregistering) return;
  }
  revoke_files();
  for (const auto& file : live_files()) file->cut();
}

void RegisteredDevice::finish_if_unused() {
  Done<> finished;
  Timer request_timer;
  Timer force_timer;
  {
    Lock lock(mutex_);
    // Between begin_unregister() and wait_for_users() nobody waits yet.
    if (phase_ != Phase::unregistering || references_ > 0 || !finished_) return;
    phase_ = Phase::gone;
    finished = std::move(finished_);
    request_timer = std::move(request_timer_);
    force_timer = std::move(force_timer_);
  }
  finished();
}

// --- References.

DeviceRef DeviceRef::try_get(std::shared_ptr<RegisteredDevice> device) {
  if (!device || !device->try_get()) return {};
  return DeviceRef(std::move(device));
}

DeviceRef& DeviceRef::operator=(DeviceRef&& other) noexcept {
  if (this == &other) return *this;
  reset();
  device_ = std::move(other.device_);
  return *this;
}

void DeviceRef::reset() {
  if (!device_) return;
  device_->put();
  device_.reset();
}

}  // namespace umdev::vfio
