#include "umdev/ioctl/migration_data_file.h"

#include <utility>

#include "umdev/abi/migration.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"

namespace umdev::ioctl {

void MigrationDataFile::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                              Done<Answer> done) {
  if (command != abi::vfio_mig_get_precopy_info || !has_precopy(world_->profile))
    return done(fail(ENOTTY, "a migration stream has no such command"));
  done(success(get_precopy_info(*caller, argument)));
}

Result<> MigrationDataFile::get_precopy_info(Caller& caller, UserAddress argument) {
  auto answer = UMDEV_TRY(read_argsz<abi::VfioPrecopyInfo>(caller, argument));
  const vfio::PrecopyInfo info = UMDEV_TRY(data_->precopy_info());
  answer.flags = 0;
  answer.initial_bytes = info.initial_bytes;
  answer.dirty_bytes = info.dirty_bytes;
  return write_value(caller, argument, answer);
}

void MigrationDataFile::read(std::uint64_t, Bytes into, std::shared_ptr<void>, Done<std::size_t> done) {
  done(data_->read(into));
}

void MigrationDataFile::write(std::uint64_t, ConstBytes from, std::shared_ptr<void>, Done<std::size_t> done) {
  done(data_->write(from));
}

Readiness MigrationDataFile::readiness() const {
  const bool ready = data_->ready();
  return {.readable = ready, .writable = ready};
}

}  // namespace umdev::ioctl
