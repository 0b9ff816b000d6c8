#include "umdev/vfio/migration_file.h"

#include <utility>

#include "umdev/vfio/driver_call.h"

namespace umdev::vfio {

MigrationFile::~MigrationFile() = default;

Result<std::size_t> MigrationFile::read(Bytes into) {
  if (ended_.load()) return fail(ENODEV, "the transfer is over");
  // Asked before the driver: bytes that come with a change of state in between are then not taken for the
  // end.
  const MigrationState state = state_.load();
  if (!is_saving(state)) return fail(EBADF, "the stream is for writing");
  const std::size_t count = UMDEV_TRY(driver_call([&] { return data_->read(into); }));
  if (count == 0 && !into.empty() && is_pre_copy(state))
    return fail(ENOMSG, "there is no more to read before STOP_COPY, at present");
  return count;
}

Result<std::size_t> MigrationFile::write(ConstBytes from) {
  if (ended_.load()) return fail(ENODEV, "the transfer is over");
  if (state_.load() != MigrationState::resuming) return fail(EBADF, "the stream is for reading");
  if (from.empty()) return 0;
  return driver_call([&] { return data_->write(from); });
}

Result<PrecopyInfo> MigrationFile::precopy_info() const {
  if (ended_.load()) return fail(ENODEV, "the transfer is over");
  if (!is_pre_copy(state_.load())) return fail(EINVAL, "the device is not in pre-copy");
  return driver_call([&] { return data_->precopy_info(); });
}

bool MigrationFile::ready() const {
  if (ended_.load() || !is_pre_copy(state_.load())) return true;
  return driver_call([&] { return data_->has_bytes(); });
}

void MigrationFile::when_ready(Done<> done) {
  {
    Lock lock(mutex_);
    std::swap(waiting_, done);
  }
  if (done) done(fail(ECANCELED, "somebody else waits for the stream"));
  wake();
}

void MigrationFile::set_state(MigrationState state) {
  state_.store(state);
  wake();
}

void MigrationFile::end() {
  ended_.store(true);
  wake();
}

void MigrationFile::wake() {
  if (!ready()) return;
  Done<> done;
  {
    Lock lock(mutex_);
    std::swap(waiting_, done);
  }
  if (done) done();
}

}  // namespace umdev::vfio
