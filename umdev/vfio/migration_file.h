// The data stream of one transfer: what the kernel hands out as data_fd.
#pragma once

#include <atomic>
#include <memory>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/migration.h"

namespace umdev::vfio {

// Lasts from the arc that begins the transfer until the device leaves the states of it (through an arc, a
// reset, its close): from then on everything is ENODEV. Doors make a descriptor of it, or serve it by
// messages; it may be kept for longer than the device. Thread-safe; nothing waits.
class MigrationFile {
 public:
  // The framework's.
  MigrationFile(std::shared_ptr<MigrationData> data, MigrationState state)
      : data_(std::move(data)), state_(state) {}
  ~MigrationFile();
  MigrationFile(const MigrationFile&) = delete;
  MigrationFile& operator=(const MigrationFile&) = delete;

  // The next bytes of the device. ENOMSG at the temporary end in pre-copy, 0 at the end in STOP_COPY, EBADF
  // while resuming; ENODEV; and what the driver says.
  Result<std::size_t> read(Bytes into);
  // Bytes for the device, which takes all of them or none; EBADF while saving; ENODEV; what the driver says.
  Result<std::size_t> write(ConstBytes from);
  // VFIO_MIG_GET_PRECOPY_INFO: EINVAL outside of the pre-copy states; ENODEV.
  Result<PrecopyInfo> precopy_info() const;

  // poll(): would read() (while resuming: write()) answer something else than ENOMSG? True after the end.
  bool ready() const;
  // Completes when ready() is true; at once if it is. It is asked again whenever the state of the device
  // changes. One may wait: whoever waited before completes with ECANCELED.
  void when_ready(Done<> done) UMDEV_EXCLUDES(mutex_);

  // The framework's: the device has reached another state of this transfer; it has left them.
  void set_state(MigrationState state);
  void end();

 private:
  void wake() UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<MigrationData> data_;
  std::atomic<MigrationState> state_;
  std::atomic<bool> ended_ = false;
  Mutex mutex_;
  Done<> waiting_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
