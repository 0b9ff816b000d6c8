// Where one device is in the state graph of migration, and how it gets to another place in it.
#pragma once

#include <atomic>
#include <memory>

#include "umdev/support/done.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/migration.h"
#include "umdev/vfio/migration_file.h"

namespace umdev::vfio {

class RegisteredDevice;

// Of one user of a device: RUNNING when the device is opened. change() and reset() come one after another,
// from the device set's queue: a reset that comes during a change of state waits for its end, and nobody
// waits on a thread. The rest from any thread.
class MigrationMachine : public std::enable_shared_from_this<MigrationMachine> {
 public:
  // Both outlive every call but the destructor's.
  MigrationMachine(Migration& driver, RegisteredDevice& device) : driver_(driver), device_(device) {}
  ~MigrationMachine();
  MigrationMachine(const MigrationMachine&) = delete;
  MigrationMachine& operator=(const MigrationMachine&) = delete;

  MigrationState state() const { return state_.load(); }
  // The data stream that is open at present, or null.
  std::shared_ptr<MigrationFile> file() const UMDEV_EXCLUDES(mutex_);

  // Goes to `wanted`, one arc after another. Completes with the data stream when the last arc began one, else
  // with null. After an error the device is where the arc that failed began; ERROR after ENOTRECOVERABLE, and
  // after ETIMEDOUT, which faults the device. EINVAL as next_migration_state().
  void change(User& user, MigrationState wanted, Done<std::shared_ptr<MigrationFile>> done);
  // Back to RUNNING, from ERROR too: the device was reset, or its last user leaves.
  void reset(User& user);

 private:
  struct Change;
  void step(const std::shared_ptr<Change>& change);
  void arrived(const std::shared_ptr<Change>& change, MigrationState at,
               const Result<std::shared_ptr<MigrationData>>& data);
  void set_state(MigrationState state) UMDEV_EXCLUDES(mutex_);
  void end_transfer() UMDEV_EXCLUDES(mutex_);

  Migration& driver_;
  RegisteredDevice& device_;
  std::atomic<MigrationState> state_ = MigrationState::running;
  mutable Mutex mutex_;
  std::shared_ptr<MigrationFile> file_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
