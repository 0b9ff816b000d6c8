// For a device that logs its own DMA (struct vfio_log_ops): a Device that is this too is asked when its user
// wants DMA_LOGGING_START, STOP and REPORT. The framework's log stays on beside it: what a device writes
// through pins and dma_write() is in the report whether its own log has it or not.
#pragma once

#include <cstdint>
#include <span>

#include "umdev/iommu/types.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio {

// While the device is open, from any thread. What is started twice, or not at all, is the device's to
// refuse: the framework passes on what the user asks for, as the kernel does.
class LogsDma {
 public:
  virtual ~LogsDma() = default;
  // False for one that has no log after all; never changes.
  virtual bool has_dma_log() const = 0;
  // The ranges are valid, sorted, and do not overlap; `page_size` is the user's wish, the answer the log's.
  virtual Result<std::uint64_t> start_dma_log(std::span<const iommu::IovaRange> ranges,
                                              std::uint64_t page_size) = 0;
  virtual Result<> stop_dma_log() = 0;
  // Sets the bits of what was written, one for `page_size` of bytes from range.iova on, and forgets it. Bits
  // that are set stay.
  virtual Result<> read_dma_log(iommu::IovaRange range, std::uint64_t page_size, Bytes bitmap) = 0;
};

}  // namespace umdev::vfio
