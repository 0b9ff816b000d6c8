// Everything that one device writes into its user's memory, told to the logs that want to know.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/iommu/dirty_log.h"
#include "umdev/iommu/dma_pin.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

// Of one device user. A writable pin counts as written when it is made, at each report while it is held, and
// when it is dropped; other writes when their bytes are there. Without a log this costs a load, and a list
// entry for each writable pin. Any thread.
class WriteTracker : public std::enable_shared_from_this<WriteTracker> {
 public:
  WriteTracker() = default;
  // No pins are left: they hold it.
  ~WriteTracker() = default;
  WriteTracker(const WriteTracker&) = delete;
  WriteTracker& operator=(const WriteTracker&) = delete;

  // The same pin, watched if it is writable.
  DmaPin hold(DmaPin pin) UMDEV_EXCLUDES(mutex_);
  // The bytes of a valid range have been written.
  void wrote(IovaRange range) UMDEV_EXCLUDES(mutex_);

  // From now on `log` hears of every write, and of the pins that are held.
  void attach(std::shared_ptr<DirtyLog> log) UMDEV_EXCLUDES(mutex_);
  void detach(const DirtyLog& log) UMDEV_EXCLUDES(mutex_);
  // Before a report: what is held may have been written since the last one.
  void mark_held(DirtyLog& log) UMDEV_EXCLUDES(mutex_);

 private:
  class Held;
  void release(Held& held) UMDEV_EXCLUDES(mutex_);

  std::atomic<bool> active_ = false;
  Mutex mutex_;
  std::vector<std::shared_ptr<DirtyLog>> logs_ UMDEV_GUARDED_BY(mutex_);
  Held* first_ UMDEV_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace umdev::iommu
