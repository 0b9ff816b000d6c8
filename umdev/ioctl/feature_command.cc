#include "umdev/ioctl/feature_command.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "umdev/abi/migration.h"
#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/migration_data_file.h"
#include "umdev/iommu/dirty_log.h"
#include "umdev/vfio/core.h"

namespace umdev::ioctl {
namespace {

constexpr std::uint32_t get = abi::vfio_device_feature_get;
constexpr std::uint32_t set = abi::vfio_device_feature_set;
constexpr std::uint32_t probe = abi::vfio_device_feature_probe;

struct Feature {
  std::shared_ptr<const World> world;
  std::shared_ptr<vfio::DeviceFile> device;
  std::shared_ptr<Caller> caller;
  UserAddress data_address = 0;  // behind the header
  abi::VfioDeviceFeatureHeader header{};
  std::vector<std::byte> data;  // as DeviceFile::feature() takes it
  std::uint64_t room = 0;
  abi::VfioDmaLoggingReportPointer report{};
  Done<Answer> done;

  std::uint32_t id() const { return header.flags & abi::vfio_device_feature_mask; }
  bool is_probe() const { return (header.flags & probe) != 0; }
  bool is_get() const { return !is_probe() && (header.flags & get) != 0; }
  bool is_set() const { return !is_probe() && (header.flags & set) != 0; }
};

// Structures of a few hundred bytes at most: what a device may want of its own features.
constexpr std::uint64_t data_max = iommu::page_size;

template <typename T>
std::vector<std::byte> bytes_from(const T& value) {
  const ConstBytes bytes = bytes_of(value);
  return {bytes.begin(), bytes.end()};
}

// The ranges behind the pointer go behind the structure.
Result<> fetch_logging_ranges(Feature& feature) {
  const auto control =
      UMDEV_TRY(read_value<abi::VfioDmaLoggingControl>(*feature.caller, feature.data_address));
  const abi::VfioDmaLoggingStart start{
      .page_size = control.page_size, .num_ranges = control.num_ranges, .reserved = control.reserved};
  feature.data = bytes_from(start);
  // More than that is refused whatever they are.
  const std::uint32_t ranges = std::min(control.num_ranges, feature.world->core.limits().dirty_ranges + 1);
  feature.data.resize(sizeof start + std::uint64_t{ranges} * sizeof(abi::VfioDmaLoggingRange));
  if (control.num_ranges != ranges) return {};
  return feature.caller->read(control.ranges, Bytes(feature.data).subspan(sizeof start));
}

// The bitmap is asked for with as much room as the range needs.
Result<> fetch_logging_report(Feature& feature) {
  feature.report =
      UMDEV_TRY(read_value<abi::VfioDmaLoggingReportPointer>(*feature.caller, feature.data_address));
  const abi::VfioDmaLoggingReport report{
      .iova = feature.report.iova, .length = feature.report.length, .page_size = feature.report.page_size};
  feature.data = bytes_from(report);
  const std::uint64_t granule = std::max<std::uint64_t>(report.page_size, 1);
  feature.room = sizeof report + iommu::dirty_bitmap_size(report.length, granule);
  return {};
}

Result<> fetch_plain(Feature& feature) {
  feature.data.resize(std::min(feature.room, data_max));
  return feature.caller->read(feature.data_address, feature.data);
}

// What the caller gives to the feature, if it gives anything.
Result<> fetch(Feature& feature) {
  if (feature.is_set() && feature.id() == abi::vfio_device_feature_dma_logging_start) {
    if (feature.room < sizeof(abi::VfioDmaLoggingControl)) return fail(EINVAL, "no room for the structure");
    return fetch_logging_ranges(feature);
  }
  if (feature.is_get() && feature.id() == abi::vfio_device_feature_dma_logging_report) {
    if (feature.room < sizeof(abi::VfioDmaLoggingReportPointer))
      return fail(EINVAL, "no room for the structure");
    return fetch_logging_report(feature);
  }
  if (feature.is_set() && feature.id() == abi::vfio_device_feature_mig_device_state)
    feature.room = std::min<std::uint64_t>(feature.room, sizeof(abi::VfioDeviceFeatureMigState));
  return feature.is_set() ? fetch_plain(feature) : Result<>{};
}

// DMA_LOGGING_REPORT: what the log says is added to what the caller has there.
Result<> put_report(Feature& feature, ConstBytes answered) {
  const ConstBytes bitmap = answered.subspan(std::min(answered.size(), sizeof(abi::VfioDmaLoggingReport)));
  std::vector<std::byte> bits(bitmap.size());
  UMDEV_TRY(feature.caller->read(feature.report.bitmap, bits));
  std::ranges::transform(bits, bitmap, bits.begin(), [](std::byte a, std::byte b) { return a | b; });
  return feature.caller->write(feature.report.bitmap, bits);
}

// MIG_DEVICE_STATE SET: the structure is written back whether it went well or not.
Result<Answer> put_state(Feature& feature, Result<vfio::FeatureAnswer> answer) {
  const bool is_whole = feature.data.size() == sizeof(abi::VfioDeviceFeatureMigState);
  if (is_whole) {
    auto state = *load_struct<abi::VfioDeviceFeatureMigState>(feature.data);
    state.data_fd = -1;
    UMDEV_TRY(write_value(*feature.caller, feature.data_address, state));
  }
  if (!answer) return std::unexpected(answer.error());
  if (!answer->file) return Answer{};
  return Answer{.file = std::make_shared<MigrationDataFile>(feature.world, std::move(answer->file)),
                .fd_address = feature.data_address + offsetof(abi::VfioDeviceFeatureMigState, data_fd)};
}

Result<Answer> put(Feature& feature, Result<vfio::FeatureAnswer> answer) {
  if (feature.is_set() && feature.id() == abi::vfio_device_feature_mig_device_state)
    return put_state(feature, std::move(answer));
  if (!answer) return std::unexpected(answer.error());
  if (feature.is_probe()) return Answer{};
  if (feature.is_get() && feature.id() == abi::vfio_device_feature_dma_logging_report)
    return success(put_report(feature, answer->data));
  if (feature.is_set() && feature.id() == abi::vfio_device_feature_dma_logging_start) {
    // Of the answer, the page size that the log really has.
    const ConstBytes said = ConstBytes(answer->data).first(std::min<std::size_t>(answer->data.size(), 8));
    return success(feature.caller->write(feature.data_address, said));
  }
  if (!feature.is_get()) return Answer{};
  if (answer->data.size() > feature.room)
    return fail(EINVAL, "argsz is shorter than the feature's structure");
  return success(feature.caller->write(feature.data_address, answer->data));
}

// Data that cannot be had are EFAULT, but only of a feature that would have taken them.
Result<> would_be_taken(Feature& feature) {
  Result<> result = fail(EFAULT, "the feature's data are not there");
  feature.device->feature({.flags = feature.header.flags | probe, .data = {}, .room = feature.room},
                          [&](Result<vfio::FeatureAnswer> answer) {
                            if (!answer) result = std::unexpected(answer.error());
                          });
  return result;
}

Result<> begin(Feature& feature, UserAddress argument) {
  feature.header = UMDEV_TRY(read_argsz<abi::VfioDeviceFeatureHeader>(*feature.caller, argument));
  feature.data_address = argument + sizeof feature.header;
  feature.room = feature.header.argsz - sizeof feature.header;
  if (feature.id() > last_feature(feature.world->profile))
    return fail(ENOTTY, "this kernel has no such feature");
  if (const Result<> fetched = fetch(feature); !fetched) {
    UMDEV_TRY(would_be_taken(feature));
    return fetched;
  }
  return {};
}

}  // namespace

void feature_command(const std::shared_ptr<const World>& world,
                     const std::shared_ptr<vfio::DeviceFile>& device, UserAddress argument,
                     std::shared_ptr<Caller> caller, Done<Answer> done) {
  auto feature = std::make_shared<Feature>();
  feature->world = world;
  feature->device = device;
  feature->caller = std::move(caller);
  if (const Result<> begun = begin(*feature, argument); !begun) return done(std::unexpected(begun.error()));
  feature->done = std::move(done);
  device->feature(
      {.flags = feature->header.flags, .data = feature->data, .room = feature->room},
      [feature](Result<vfio::FeatureAnswer> answer) { feature->done(put(*feature, std::move(answer))); });
}

}  // namespace umdev::ioctl
