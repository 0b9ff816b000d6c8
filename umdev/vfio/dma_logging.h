// Device DMA logging: VFIO_DEVICE_FEATURE_DMA_LOGGING_START, STOP and REPORT.
#pragma once

#include <memory>
#include <vector>

#include "umdev/iommu/write_tracker.h"
#include "umdev/support/limits.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/logs_dma.h"

namespace umdev::vfio {

// Of one user of a device. The structures are abi::VfioDmaLoggingStart, followed by its ranges, and
// abi::VfioDmaLoggingReport, followed by its bitmap. Any thread.
class DmaLogging {
 public:
  // `tracker` hears of everything that the device writes by the framework's ways. `own` is the device's log,
  // which outlives this; null without.
  DmaLogging(std::shared_ptr<iommu::WriteTracker> tracker, const Limits& limits, LogsDma* own = nullptr)
      : tracker_(std::move(tracker)), limits_(limits), own_(own) {}
  ~DmaLogging();
  DmaLogging(const DmaLogging&) = delete;
  DmaLogging& operator=(const DmaLogging&) = delete;

  // Answers with what was given, and the page size of the log in it. EINVAL: it is on already, or too little
  // data; and what DirtyLog::create says. With a log of the device's own it is that one's errors, and its
  // page size.
  Result<std::vector<std::byte>> start(ConstBytes data) UMDEV_EXCLUDES(mutex_);
  bool is_on() const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return log_ != nullptr;
  }
  // Success when it is off, too, as of the kernel's drivers; else what the device's own log says.
  Result<> stop() UMDEV_EXCLUDES(mutex_);
  // Answers with what was given and the bitmap; what was reported is forgotten. EINVAL: it is off, too little
  // data, no room for the bitmap, or a bitmap above Limits::dirty_bitmap_bytes; and what DirtyLog::report
  // says.
  Result<std::vector<std::byte>> report(ConstBytes data, std::uint64_t room) UMDEV_EXCLUDES(mutex_);

 private:
  void detach() UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<iommu::WriteTracker> tracker_;
  const Limits& limits_;
  LogsDma* const own_;
  mutable Mutex mutex_;
  std::shared_ptr<iommu::DirtyLog> log_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio
