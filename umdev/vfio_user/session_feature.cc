// DEVICE_FEATURE, and the data stream of a migration.
#include <algorithm>

#include "umdev/abi/vfio.h"
#include "umdev/vfio/migration_file.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/quirks.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

Result<> Session::device_feature(const Frame& frame) {
  const auto [fixed, data] = UMDEV_TRY(decode_feature(frame.payload));
  Operation& operation = start(Pending::feature);
  feature_size_ = frame.payload.size();
  const Bytes kept = operation.buffer(feature_size_);
  std::ranges::copy(frame.payload, kept.begin());
  // However much the client has room for, this is the most that a message has.
  const std::uint64_t room = std::min<std::uint64_t>(
      fixed.argsz, std::uint64_t{agreed_.max_data_xfer_size} + sizeof(abi::VfioUserRegionAccess));
  device_->feature({.flags = fixed.flags, .data = kept.subspan(sizeof fixed), .room = room - sizeof fixed},
                   [operation = operation_](Result<vfio::FeatureAnswer> answer) {
                     operation->complete_feature(std::move(answer));
                   });
  if (call_returned()) finish_operation();
  return {};
}

// The kernel writes a GET's answer behind the header, and that of a SET over what was given. The reply has
// the request's header, and of its data what the answer does not replace.
Result<> Session::featured() {
  const ConstBytes asked = operation_->data(feature_size_);
  auto fixed = *load_struct<abi::VfioUserFeature>(asked);
  const std::vector<std::byte> answer = operation_->take_answer();
  const bool is_get = (fixed.flags & (abi::vfio_device_feature_get | abi::vfio_device_feature_probe)) ==
                      abi::vfio_device_feature_get;
  ConstBytes rest;
  if (!is_get) rest = asked.subspan(std::min(asked.size(), sizeof fixed + answer.size()));
  const std::uint32_t room = fixed.argsz;
  fixed.argsz = static_cast<std::uint32_t>(sizeof fixed + answer.size() + rest.size());
  static_assert(!quirks::migration_stream_has_descriptor);
  if (is_get && fixed.argsz > room) {
    reply(bytes_of(fixed));
    return {};
  }
  std::vector<std::byte> all = answer;
  all.insert(all.end(), rest.begin(), rest.end());
  reply(bytes_of(fixed), all);
  return {};
}

// The stream has what it has: asked until the reply is full, or there is nothing more for now.
Result<> Session::mig_data_read(const Frame& frame) {
  abi::VfioUserMigData asked = UMDEV_TRY(decode_mig_data_read(frame.payload, agreed_.max_data_xfer_size));
  const auto file = device_->migration_file();
  if (!file) return fail(EINVAL, "no migration stream is open");
  const Bytes data = operation_->buffer(asked.size);
  std::size_t count = 0;
  while (count < data.size()) {
    const auto more = file->read(data.subspan(count));
    static_assert(quirks::precopy_end_is_a_short_read);
    if (!more && more.error().code == EBADF) return fail(EINVAL, "the migration stream is for writing");
    if (!more && more.error().code != ENOMSG) return std::unexpected(more.error());
    if (!more || *more == 0) break;
    count += *more;
  }
  asked.size = static_cast<std::uint32_t>(count);
  asked.argsz = static_cast<std::uint32_t>(sizeof asked + count);
  reply(bytes_of(asked), data.first(count));
  return {};
}

Result<> Session::mig_data_write(const Frame& frame) {
  const ConstBytes data = UMDEV_TRY(decode_mig_data_write(frame.payload, agreed_.max_data_xfer_size));
  const auto file = device_->migration_file();
  if (!file) return fail(EINVAL, "no migration stream is open");
  const auto taken = file->write(data);
  if (!taken && taken.error().code == EBADF) return fail(EINVAL, "the migration stream is for reading");
  if (!taken) return std::unexpected(taken.error());
  reply({});
  return {};
}

}  // namespace umdev::vfio_user
