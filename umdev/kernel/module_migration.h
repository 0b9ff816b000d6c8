// Migration of a module's device: the tables that it has hung on its struct vfio_device, as the core's facet.
//
// The core walks the state graph itself and asks for one arc at a time, so migration_set_state() is called
// with states that are one arc away; a driver that walks with vfio_mig_get_next_state() does one step each
// time.
#pragma once

#include <atomic>
#include <memory>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/calls.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/migration.h"

struct vfio_migration_ops;

namespace umdev::kernel {

class FileStream;
class VfioRecord;

class ModuleMigration final : public vfio::Migration {
 public:
  // Null for a device that has no migration. EINVAL, as the kernel answers a registration: one of the three
  // callbacks is missing (of migration_get_data_size before 6.2: may be), or one of the log's, or the flags
  // are without STOP_COPY.
  static Result<std::unique_ptr<ModuleMigration>> create(std::shared_ptr<VfioRecord> record);
  ModuleMigration(std::shared_ptr<VfioRecord> record, const ::vfio_migration_ops& ops);
  ~ModuleMigration() override;

  // ^vfio::Migration
  std::uint64_t flags() const override { return flags_; }
  void arc(vfio::User& user, vfio::MigrationState from, vfio::MigrationState to,
           Done<std::shared_ptr<vfio::MigrationData>> done) override;
  vfio::MigrationState state_after_failure(const Error& error, vfio::MigrationState from) const override;
  void ended(vfio::User& user) override UMDEV_EXCLUDES(mutex_);
  Result<std::uint64_t> data_size() override;
  // As the kernel, of a driver with a log: ModuleDevice asks it.
  bool logs_dma() const override { return logs_dma_; }

 private:
  struct ArcTask;
  CallName call_name(const char* callback) const;
  std::shared_ptr<FileStream> exchange_stream(std::shared_ptr<FileStream> stream) UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<VfioRecord> record_;
  const ::vfio_migration_ops& ops_;
  const std::uint64_t flags_;
  const bool logs_dma_;
  std::atomic<bool> is_lost_ = false;  // the driver says that the arc which has failed left it in ERROR
  Mutex mutex_;
  std::shared_ptr<FileStream> stream_ UMDEV_GUARDED_BY(mutex_);  // of the transfer that is under way
};

// The services. -EINVAL: no state of a device with these flags, or no way.
int vfio_mig_get_next_state(umdev_u64 flags, umdev_u32 from, umdev_u32 wanted, umdev_u32* next);

}  // namespace umdev::kernel
