// Migration for a driver that has its state at hand: it says what to save and load, this does the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "umdev/support/mutex.h"
#include "umdev/support/state_stream.h"
#include "umdev/vfio/migration.h"

namespace umdev::vfio {

// Keeps the transfer, its stream in the format of state_stream.h, its identity and its bound. A driver
// derives its migration from this and answers Device::migration() with it.
//
// Threads: on_arc(), save_*(), load() and on_ended() come one after another, with no lock held; estimate()
// from any thread. A driver guards its own state, which accesses go on to use.
class MigrationHelper : public Migration {
 public:
  struct Options {
    // abi::vfio_migration_*.
    std::uint64_t flags = abi::vfio_migration_stop_copy;
    // Whose state it is: driver, type, and whatever else the two sides must have in common. A stream with
    // another one is refused with its first bytes.
    std::string identity;
    // Bounds the stream in both directions; E2BIG above.
    std::size_t stream_max = 1U << 20;
  };

  // ^Migration
  std::uint64_t flags() const final { return options_.flags; }
  void arc(User& user, MigrationState from, MigrationState to,
           Done<std::shared_ptr<MigrationData>> done) final;
  void ended(User& user) final UMDEV_EXCLUDES(mutex_);
  Result<std::uint64_t> data_size() final { return estimate(); }

 protected:
  explicit MigrationHelper(Options options) : options_(std::move(options)) {}

  // Stops or resumes the device. Before it completes for an arc into STOP, STOP_COPY or a P2P state, no DMA
  // is under way that the state forbids, and in STOP and the transfer states nothing changes or interrupts
  // any more. An error leaves the device where it was.
  virtual void on_arc(User&, MigrationState /*from*/, MigrationState /*to*/, Done<> done) { done(); }
  // Is there anything that can go ahead while the device works on? What changes afterwards belongs to
  // save_final(). An error ends the arc into pre-copy.
  virtual Result<> save_precopy(StreamWriter&) { return {}; }
  // The device stands still: the rest of its state.
  virtual Result<> save_final(StreamWriter& stream) = 0;
  // All or nothing: take the stream apart, down to StreamReader::end(), check it, and only then make it the
  // device's state. The frame of the stream has been checked.
  virtual Result<> load(User& user, StreamReader& stream) = 0;
  // How long a stream would be at present, about.
  virtual std::uint64_t estimate() const = 0;
  // Migration::ended: run again, whatever was begun.
  virtual void on_ended(User&) {}

 private:
  class Saving;
  class Resuming;
  struct Arc;
  void stopped_or_resumed(const std::shared_ptr<Arc>& arc) UMDEV_EXCLUDES(mutex_);
  Result<std::shared_ptr<MigrationData>> transfer(const Arc& arc) UMDEV_EXCLUDES(mutex_);
  Result<std::shared_ptr<MigrationData>> begin_saving(MigrationState to) UMDEV_EXCLUDES(mutex_);
  Result<> finish_saving() UMDEV_EXCLUDES(mutex_);
  Result<> finish_resuming(User& user) UMDEV_EXCLUDES(mutex_);

  const Options options_;
  Mutex mutex_;
  std::shared_ptr<Saving> saving_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<Resuming> resuming_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
