#include "umdev/vfio/feature.h"

#include <optional>
#include <utility>

#include "umdev/vfio/device_file.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t get = abi::vfio_device_feature_get;
constexpr std::uint32_t set = abi::vfio_device_feature_set;
constexpr std::uint32_t probe = abi::vfio_device_feature_probe;

template <typename T>
std::vector<std::byte> bytes_from(const T& value) {
  const ConstBytes bytes = bytes_of(value);
  return {bytes.begin(), bytes.end()};
}

// The answer of a feature that answers at once.
void answer(Done<FeatureAnswer>& done, Result<std::vector<std::byte>> data) {
  if (!data) return done(std::unexpected(data.error()));
  done(FeatureAnswer{.data = std::move(*data), .file = nullptr});
}

Result<std::vector<std::byte>> get_flags(const FeatureRequest& request, Migration& migration) {
  if (!UMDEV_TRY(check_feature(request, get, sizeof(abi::VfioDeviceFeatureMigration)))) return {};
  return bytes_from(abi::VfioDeviceFeatureMigration{.flags = migration.flags()});
}

Result<std::vector<std::byte>> get_data_size(const FeatureRequest& request, Migration& migration) {
  if (!UMDEV_TRY(check_feature(request, get, sizeof(abi::VfioDeviceFeatureMigDataSize)))) return {};
  return bytes_from(abi::VfioDeviceFeatureMigDataSize{.stop_copy_length = UMDEV_TRY(migration.data_size())});
}

// The user understands that initial bytes may begin anew. Ours never do, so there is nothing to remember.
Result<std::vector<std::byte>> set_precopy_info_v2(const FeatureRequest& request, Migration& migration) {
  if ((migration.flags() & abi::vfio_migration_pre_copy) == 0)
    return fail(EINVAL, "the device has no pre-copy");
  if (!UMDEV_TRY(check_feature(request, set, 0))) return {};
  return std::vector<std::byte>();
}

bool is_dma_logging(std::uint32_t feature) {
  return feature == abi::vfio_device_feature_dma_logging_start ||
         feature == abi::vfio_device_feature_dma_logging_stop ||
         feature == abi::vfio_device_feature_dma_logging_report;
}

Result<std::vector<std::byte>> dma_logging(const FeatureRequest& request, DmaLogging& logging) {
  switch (request.flags & abi::vfio_device_feature_mask) {
    case abi::vfio_device_feature_dma_logging_start:
      if (!UMDEV_TRY(check_feature(request, set, sizeof(abi::VfioDmaLoggingStart)))) return {};
      return logging.start(request.data);
    case abi::vfio_device_feature_dma_logging_stop:
      if (!UMDEV_TRY(check_feature(request, set, 0))) return {};
      UMDEV_TRY(logging.stop());
      return {};
    default:
      if (!UMDEV_TRY(check_feature(request, get, sizeof(abi::VfioDmaLoggingReport)))) return {};
      return logging.report(request.data, request.room);
  }
}

void device_state(DeviceFile& file, const FeatureRequest& request, Done<FeatureAnswer> done) {
  const auto go_on = check_feature(request, get | set, sizeof(abi::VfioDeviceFeatureMigState));
  if (!go_on) return done(std::unexpected(go_on.error()));
  if (!*go_on) return done(FeatureAnswer{});
  const auto answer_with = [](MigrationState state, std::shared_ptr<MigrationFile> data) {
    const abi::VfioDeviceFeatureMigState answered{.device_state = static_cast<std::uint32_t>(state),
                                                  .data_fd = -1};
    return FeatureAnswer{.data = bytes_from(answered), .file = std::move(data)};
  };
  if ((request.flags & get) != 0) {
    const auto state = file.migration_state();
    if (!state) return done(std::unexpected(state.error()));
    return done(answer_with(*state, nullptr));
  }
  const auto asked = load_struct<abi::VfioDeviceFeatureMigState>(request.data);
  const auto wanted = migration_state_of(asked->device_state);
  if (!wanted) return done(fail(EINVAL, "no such migration state"));
  struct Setting {
    MigrationState wanted;
    Done<FeatureAnswer> done;
  };
  auto setting = std::make_shared<Setting>(*wanted, std::move(done));
  file.set_migration_state(*wanted, [setting, answer_with](Result<std::shared_ptr<MigrationFile>> data) {
    if (!data) return setting->done(std::unexpected(data.error()));
    setting->done(answer_with(setting->wanted, std::move(*data)));
  });
}

}  // namespace

Result<bool> check_feature(const FeatureRequest& request, std::uint32_t operations, std::size_t size) {
  const std::uint32_t asked = request.flags & (get | set);
  if ((asked & ~operations) != 0) return fail(EINVAL, "the feature has no such operation");
  if ((request.flags & probe) != 0) return false;
  if (asked == 0) return fail(EINVAL, "a feature is read, written or probed");
  if (request.room < size) return fail(EINVAL, "argsz is shorter than the feature's structure");
  if (asked == set && request.data.size() < size) return fail(EINVAL, "the feature's data are too short");
  return true;
}

void DeviceFile::feature(const FeatureRequest& request, Done<FeatureAnswer> done) {
  constexpr std::uint32_t known = abi::vfio_device_feature_mask | get | set | probe;
  const auto stay = device_->enter();
  if (const auto usable_now = usable(); !usable_now) return done(std::unexpected(usable_now.error()));
  if ((request.flags & ~known) != 0) return done(fail(EINVAL, "unknown feature flags"));
  if ((request.flags & probe) == 0 && (request.flags & (get | set)) == (get | set))
    return done(fail(EINVAL, "a feature is read or written, not both"));

  Device& device = device_->device();
  Migration* const migration = driver_call([&] { return device.migration(); });
  const std::uint32_t feature = request.flags & abi::vfio_device_feature_mask;
  if (migration != nullptr) {
    switch (feature) {
      case abi::vfio_device_feature_migration:
        return answer(done, driver_call([&] { return get_flags(request, *migration); }));
      case abi::vfio_device_feature_mig_device_state:
        return device_state(*this, request, std::move(done));
      case abi::vfio_device_feature_mig_data_size:
        return answer(done, driver_call([&] { return get_data_size(request, *migration); }));
      case abi::vfio_device_feature_mig_precopy_info_v2:
        return answer(done, driver_call([&] { return set_precopy_info_v2(request, *migration); }));
      default:
        break;
    }
  }
  // A log needs no migration.
  if (is_dma_logging(feature) && user_->dma_logging() != nullptr)
    return answer(done, dma_logging(request, *user_->dma_logging()));
  if (is_dma_logging(feature) && migration != nullptr)
    return done(fail(ENOTTY, "the device's DMA cannot be logged"));
  answer(done, driver_call([&] { return device.device_feature(*user_, request); }));
}

void DeviceFile::set_migration_state(MigrationState wanted, Done<std::shared_ptr<MigrationFile>> done) {
  if (!user_->migration()) return done(fail(ENOTTY, "the device does not migrate"));
  struct Changing {
    std::shared_ptr<DeviceFile> file;
    RegisteredDevice::Stay stay;
    MigrationState wanted;
    Done<std::shared_ptr<MigrationFile>> done;
    Done<> next;
  };
  auto changing =
      std::make_shared<Changing>(shared_from_this(), device_->enter(), wanted, std::move(done), Done<>());
  device_->device_set().queue().post([changing](Done<> next) {
    changing->next = std::move(next);
    DeviceFile& self = *changing->file;
    Done<std::shared_ptr<MigrationFile>> finished([changing](Result<std::shared_ptr<MigrationFile>> data) {
      changing->done(std::move(data));
      changing->next();
      changing->file.reset();
    });
    if (const auto usable_now = self.usable(); !usable_now)
      return finished(std::unexpected(usable_now.error()));
    self.user_->migration()->change(*self.user_, changing->wanted, std::move(finished));
  });
}

Result<MigrationState> DeviceFile::migration_state() const {
  UMDEV_TRY(usable());
  if (!user_->migration()) return fail(ENOTTY, "the device does not migrate");
  return user_->migration()->state();
}

bool DeviceFile::is_logging_dma() const {
  return user_->dma_logging() != nullptr && user_->dma_logging()->is_on();
}

std::shared_ptr<MigrationFile> DeviceFile::migration_file() const {
  return user_->migration() ? user_->migration()->file() : nullptr;
}

}  // namespace umdev::vfio
