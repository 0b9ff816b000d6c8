#include "umdev/vfio/device_file.h"

#include "umdev/support/deadline.h"
#include "umdev/vfio/device_claim.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/file_access.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {
namespace {

// EINVAL for a device that claims more vectors than the framework keeps.
Result<std::vector<IrqInfo>> irq_infos(const RegisteredDevice& device) {
  const auto stay = device.enter();
  std::vector<IrqInfo> infos(device.device().info().num_irqs);
  for (std::uint32_t index = 0; index < infos.size(); ++index) {
    const auto info = device.device().irq_info(index);
    if (!info) continue;
    if (info->count > device.limits().vectors_per_index)
      return fail(EINVAL, "the device has too many vectors");
    infos[index] = *info;
  }
  return infos;
}

}  // namespace

DeviceFile::DeviceFile(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<DeviceUser> user)
    : device_(std::move(device)), user_(std::move(user)), spare_(std::make_unique<FileAccess>()) {}

DeviceFile::~DeviceFile() {
  close_once();
}

void DeviceFile::open(std::shared_ptr<RegisteredDevice> device, DeviceClaim claim,
                      Done<std::shared_ptr<DeviceFile>> done) {
  if (!device->try_get()) return done(fail(ENODEV, "the device is being removed"));
  auto irqs = irq_infos(*device);
  if (!irqs) {
    device->put();
    return done(std::unexpected(irqs.error()));
  }
  struct Opening {
    std::shared_ptr<RegisteredDevice> device;
    std::shared_ptr<DeviceUser> user;
    Done<std::shared_ptr<DeviceFile>> done;
    Done<> next;
  };
  auto opening = std::make_shared<Opening>();
  opening->user = std::make_shared<DeviceUser>(device, std::move(claim), *irqs, device->next_user_id());
  opening->device = std::move(device);
  opening->done = std::move(done);
  opening->device->device_set().queue().post([opening](Done<> next) {
    opening->next = std::move(next);
    opening->device->open_user(opening->user, [opening](Result<std::shared_ptr<DeviceUser>> user) {
      opening->user.reset();
      if (!user) {
        opening->device->put();
        opening->done(std::unexpected(user.error()));
      } else {
        std::shared_ptr<DeviceFile> file(
            new DeviceFile(opening->device, std::move(*user)));  // its constructor is private
        opening->device->add_file(file);
        if (auto arrival = opening->device->take_arrival()) {
          // It goes through the same queue.
          opening->next();
          return restore(std::move(file), std::move(arrival), std::move(opening->done));
        }
        opening->done(std::move(file));
      }
      opening->next();
    });
  });
}

void DeviceFile::restore(std::shared_ptr<DeviceFile> file, std::shared_ptr<Arrival> arrival,
                         Done<std::shared_ptr<DeviceFile>> done) {
  struct Restoring {
    std::shared_ptr<DeviceFile> file;
    std::shared_ptr<Arrival> arrival;
    Done<std::shared_ptr<DeviceFile>> done;
  };
  auto restoring = std::make_shared<Restoring>(std::move(file), std::move(arrival), std::move(done));
  restoring->arrival->restore(restoring->file, [restoring](Result<> result) {
    auto restored = std::move(restoring->file);
    if (result) return restoring->done(std::move(restored));
    restored->device_->set_arrival(std::move(restoring->arrival));
    restored.reset();
    restoring->done(std::unexpected(result.error()));
  });
}

void DeviceFile::close_once() {
  if (closed_.exchange(true)) return;
  device_->device_set().queue().post([device = device_, user = user_](Done<> next) {
    auto after = std::make_shared<Done<>>(std::move(next));
    device->close_user(*user, [device, after](Result<>) {
      device->put();
      (*after)();
    });
  });
}

void DeviceFile::set_events(std::shared_ptr<DeviceFileEvents> events) {
  const std::shared_ptr<DeviceFileEvents> told = events;
  {
    Lock lock(mutex_);
    std::swap(events_, events);
  }
  if (told && revoked_.load()) told->revoked();
}

Result<> DeviceFile::usable() const {
  if (cut_.load()) [[unlikely]]
    return fail(ENODEV, "the device was taken away");
  if (device_->faulted()) [[unlikely]]
    return fail(EIO, "the device is faulted");
  return {};
}

// --- What the device is.

Result<DeviceInfo> DeviceFile::info() const {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  return driver_call([&] { return device_->device().info(); });
}

Result<RegionInfo> DeviceFile::region_info(std::uint32_t index) const {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  if (index >= device_->region_bounds().size()) return fail(EINVAL, "the device has no such region");
  return driver_call([&] { return device_->device().region_info(index); });
}

Result<IrqInfo> DeviceFile::irq_info(std::uint32_t index) const {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  return driver_call([&]() -> Result<IrqInfo> {
    if (index >= device_->device().info().num_irqs)
      return fail(EINVAL, "the device has no such interrupt index");
    return device_->device().irq_info(index);
  });
}

// --- Accesses.

Result<> DeviceFile::check_range(std::uint32_t region, std::uint64_t offset, std::size_t size,
                                 std::uint32_t needed) const {
  const auto& bounds = device_->region_bounds();
  if (region >= bounds.size()) return fail(EINVAL, "the device has no such region");
  if (!range_fits(offset, size, bounds[region].size))
    return fail(EINVAL, "the access does not lie inside the region");
  if ((bounds[region].flags & needed) == 0) return fail(EINVAL, "the region cannot be accessed so");
  return {};
}

namespace {
void start(Device& device, ReadRequest request) {
  device.read(std::move(request));
}
void start(Device& device, WriteRequest request) {
  device.write(std::move(request));
}
}  // namespace

template <typename Request, typename Asker>
void DeviceFile::access(std::uint32_t region, std::uint64_t offset, Bytes data, Asker asker) {
  constexpr std::uint32_t needed = std::is_same_v<Request, ReadRequest> ? abi::vfio_region_info_flag_read
                                                                        : abi::vfio_region_info_flag_write;
  auto stay = device_->enter();
  if (const auto usable_now = usable(); !usable_now) [[unlikely]]
    return asker.answer(std::unexpected(usable_now.error()));
  if (const auto fits = check_range(region, offset, data.size(), needed); !fits) [[unlikely]]
    return asker.answer(std::unexpected(fits.error()));
  if (data.empty()) return asker.answer(std::size_t{0});
  if (waiting_.load(std::memory_order_relaxed) >= device_->limits().accesses_per_file) [[unlikely]]
    return asker.answer(fail(EAGAIN, "too many accesses are under way"));
  FileAccess& access = FileAccess::begin(*this, region, offset, data);
  asker.waits_for(access);
  driver_call([&] { start(device_->device(), Request(access)); });
  if (!access.ended_with_the_call()) access.keep(std::move(stay), asker.kept_owner());
}

namespace {

// Waits by a Done, and may let go of everything when it is called.
struct DoneAsker {
  void answer(Result<std::size_t> result) { done(std::move(result)); }
  void waits_for(FileAccess& access) { access.set_done(std::move(done)); }
  std::shared_ptr<void> kept_owner() { return std::move(owner); }
  std::shared_ptr<void>& owner;
  Done<std::size_t>& done;
};

struct OwnerAsker {
  void answer(const Result<std::size_t>& result) const { owner.access_completed(result); }
  void waits_for(FileAccess& access) const { access.set_waiter(owner); }
  std::shared_ptr<void> kept_owner() const { return owner.shared_from_this(); }
  AccessOwner& owner;
};

// A WriteRequest shows its driver constant bytes only.
Bytes writable(ConstBytes from) {
  return {const_cast<std::byte*>(from.data()), from.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

}  // namespace

void DeviceFile::read(std::uint32_t region, std::uint64_t offset, Bytes into, std::shared_ptr<void> owner,
                      Done<std::size_t> done) {
  const auto self = shared_from_this();
  access<ReadRequest>(region, offset, into, DoneAsker{owner, done});
}

void DeviceFile::write(std::uint32_t region, std::uint64_t offset, ConstBytes from,
                       std::shared_ptr<void> owner, Done<std::size_t> done) {
  const auto self = shared_from_this();
  access<WriteRequest>(region, offset, writable(from), DoneAsker{owner, done});
}

void DeviceFile::read(std::uint32_t region, std::uint64_t offset, Bytes into, AccessOwner& owner) {
  access<ReadRequest>(region, offset, into, OwnerAsker{owner});
}

void DeviceFile::write(std::uint32_t region, std::uint64_t offset, ConstBytes from, AccessOwner& owner) {
  access<WriteRequest>(region, offset, writable(from), OwnerAsker{owner});
}

// --- The rest.

void DeviceFile::reset(Done<> done) {
  struct Resetting {
    std::shared_ptr<DeviceFile> file;
    Done<> done;
    Done<> next;
  };
  auto resetting = std::make_shared<Resetting>(shared_from_this(), std::move(done));
  device_->device_set().queue().post([resetting](Done<> next) {
    resetting->next = std::move(next);
    resetting->file->reset_in_turn([resetting](Result<> result) {
      resetting->done(std::move(result));
      resetting->next();
      resetting->file.reset();
    });
  });
}

void DeviceFile::reset_in_turn(Done<> done) {
  struct Resetting {
    std::shared_ptr<DeviceFile> file;
    RegisteredDevice::Stay stay;
    Done<> done;
  };
  auto resetting = std::make_shared<Resetting>(shared_from_this(), device_->enter(), std::move(done));
  Done<> finished([resetting](Result<> result) {
    DeviceUser& user = *resetting->file->user_;
    if (result && user.migration()) user.migration()->reset(user);
    resetting->done(std::move(result));
    resetting->file.reset();
  });
  if (const auto usable_now = usable(); !usable_now) return finished(std::unexpected(usable_now.error()));
  Done<> bounded = device_->in_time(std::move(finished), "a reset was not completed in time");
  driver_call([&] { device_->device().reset(*user_, std::move(bounded)); });
}

Result<> DeviceFile::set_irqs(IrqRequest& request) {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  Device& device = device_->device();
  return driver_call([&]() -> Result<> {
    const std::uint32_t num_irqs = device.info().num_irqs;
    IrqInfo info;
    if (request.index < num_irqs)
      if (const auto known = device.irq_info(request.index)) info = *known;
    UMDEV_TRY(validate_irq_request(request, num_irqs, info));
    return device.set_irqs(*user_, request);
  });
}

Result<std::vector<MmapExtent>> DeviceFile::mmap(const MmapRequest& request) {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  if (request.length == 0) return fail(EINVAL, "a mapping is not empty");
  UMDEV_TRY(check_range(request.region, request.offset, request.length, abi::vfio_region_info_flag_mmap));
  return driver_call([&] { return device_->device().mmap(*user_, request); });
}

Result<std::vector<IoEventFd>> DeviceFile::io_event_fds(std::uint32_t region) {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  const auto& bounds = device_->region_bounds();
  if (region >= bounds.size()) return fail(EINVAL, "the device has no such region");
  auto events = UMDEV_TRY(driver_call([&] { return device_->device().io_event_fds(*user_, region); }));
  std::erase_if(events, [&](const IoEventFd& event) {
    return event.fd < 0 || !range_fits(event.offset, event.size, bounds[region].size);
  });
  return events;
}

Result<std::uint32_t> DeviceFile::ioctl(IoctlRequest request) {
  const auto stay = device_->enter();
  UMDEV_TRY(usable());
  return driver_call([&] { return device_->device().ioctl(*user_, request); });
}

const std::shared_ptr<Container>& DeviceFile::container() const {
  return user_->container();
}

User& DeviceFile::user() const {
  return *user_;
}

const std::shared_ptr<iommu::IommuInstance>& DeviceFile::iommu() const {
  return user_->iommu();
}

IoEvents& DeviceFile::io_events() const {
  return user_->io_events();
}

// --- The registration's side.

void DeviceFile::announce_request(unsigned count) {
  std::shared_ptr<DeviceFileEvents> events;
  {
    Lock lock(mutex_);
    events = events_;
  }
  if (events) events->release_requested(count);
}

void DeviceFile::revoke() {
  if (revoked_.exchange(true)) return;
  std::shared_ptr<DeviceFileEvents> events;
  {
    Lock lock(mutex_);
    events = events_;
  }
  if (events) events->revoked();
}

void DeviceFile::cut() {
  cut_.store(true);
  std::vector<FileAccess::Ref> under_way;
  {
    Lock lock(mutex_);
    for (FileAccess* access : under_way_) under_way.emplace_back(*access);
  }
  for (const auto& access : under_way) access->answer_instead(Error{ENODEV, "the device was taken away"});
  close_once();
}

}  // namespace umdev::vfio
