// What a device implements so that it can move to another place while it is in use: the facet
// Device::migration(). MigrationHelper (migration_helper.h) is the easy way to do it.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"
#include "umdev/vfio/migration_state.h"

namespace umdev::vfio {

class User;

// How much there is to read in pre-copy (VFIO_MIG_GET_PRECOPY_INFO), in bytes.
struct PrecopyInfo {
  std::uint64_t initial_bytes = 0;  // only falls
  std::uint64_t dirty_bytes = 0;    // rises as the device goes on working
};

// What one transfer moves: the driver's side of a data stream. The framework knows when the stream begins and
// ends, what its user may do at present, and who waits for it; this only has the bytes.
//
// Threads and lifetime: called from any thread, several at once, also while the device changes its state or
// is closed, and it may outlive the device by a call: it shares what it needs with the driver, and never
// waits.
class MigrationData {
 public:
  virtual ~MigrationData() = default;
  // Saving: the next bytes, at most as many as fit. 0: there are none (at present in pre-copy, for ever in
  // STOP_COPY). An error spoils the transfer.
  virtual Result<std::size_t> read(Bytes /*into*/) { return fail(EBADF, "the stream is for writing"); }
  // Resuming: takes all of it, or says why the stream cannot be for this device.
  virtual Result<std::size_t> write(ConstBytes /*from*/) { return fail(EBADF, "the stream is for reading"); }
  // Would read() return bytes at this moment?
  virtual bool has_bytes() const { return true; }
  // Mandatory for a device with pre-copy.
  virtual Result<PrecopyInfo> precopy_info() const { return PrecopyInfo{}; }
};

// Threads: arc() and ended() come one after another, by a queue, together with opening, closing and reset of
// the device; the rest from any thread at any time. No lock of the framework is held in any of them.
class Migration {
 public:
  virtual ~Migration() = default;

  // abi::vfio_migration_*; never changes. STOP_COPY is mandatory.
  virtual std::uint64_t flags() const = 0;

  // One arc of the state graph (is_arc() with flags()). Completes, inline or later, with the data of the
  // transfer that begins (STOP to STOP_COPY, STOP to RESUMING, RUNNING to PRE_COPY, RUNNING_P2P to
  // PRE_COPY_P2P; mandatory there), else with null. Before an arc into STOP or a P2P state completes, no DMA
  // of the device is under way that the state forbids (umdev::Gate). An error leaves the device where
  // state_after_failure() says; one that does not complete in Limits::access_deadline is faulted.
  virtual void arc(User& user, MigrationState from, MigrationState to,
                   Done<std::shared_ptr<MigrationData>> done) = 0;

  // Where the arc that has just failed has left the device: where it was, or in ERROR.
  virtual MigrationState state_after_failure(const Error& error, MigrationState from) const {
    return error.code == ENOTRECOVERABLE ? MigrationState::error : from;
  }

  // The device is RUNNING again without an arc, and a transfer that was under way is over: it was reset, or
  // its last user is closing it. Called after Device::reset() and before Device::close_device().
  virtual void ended(User& user) = 0;

  // VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: about how many bytes STOP_COPY would move now. In any state.
  virtual Result<std::uint64_t> data_size() = 0;

  // May the framework log for its user which memory the device writes? It sees what goes through pins and
  // dma_write(); a device that writes past both says no.
  virtual bool logs_dma() const { return true; }
};

}  // namespace umdev::vfio
