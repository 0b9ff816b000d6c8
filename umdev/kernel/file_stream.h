// The data stream of one transfer: the file that a driver has made for it, with the driver's operations.
#pragma once

#include <memory>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/calls.h"
#include "umdev/kernel/vfio_record.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/migration.h"

namespace umdev::kernel {

// Reads, writes and the question how much is left are calls of the module, answered within the world's limit.
// A stream counts as ready always: the file's poll is not asked.
class FileStream final : public vfio::MigrationData {
 public:
  // `file`: a reference, which this has until close().
  FileStream(std::shared_ptr<VfioRecord> record, ::file* file)
      : record_(std::move(record)), held_(std::make_shared<Held>()) {
    Lock lock(held_->mutex);
    held_->file = file;
  }

  // ^vfio::MigrationData. ENODEV once it is closed.
  Result<std::size_t> read(Bytes into) override;
  Result<std::size_t> write(ConstBytes from) override;
  Result<vfio::PrecopyInfo> precopy_info() const override;

  // Gives the file back. Inside a call of the module.
  void close() { held_->close(); }
  // The same outside of any.
  void close_by_call() const;

 private:
  struct Held {
    Mutex mutex;
    ::file* file UMDEV_GUARDED_BY(mutex) = nullptr;
    // A reference of one's own; null once it is closed.
    ::file* get() UMDEV_EXCLUDES(mutex);
    void close() UMDEV_EXCLUDES(mutex);
  };
  template <typename Body>
  auto use(const char* callback, Body body) const;

  const std::shared_ptr<VfioRecord> record_;
  const std::shared_ptr<Held> held_;  // shared with calls that nobody waits for any more
};

}  // namespace umdev::kernel
