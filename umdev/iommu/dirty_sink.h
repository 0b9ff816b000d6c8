// Who keeps the log of what devices write into a user's memory, as an address space tells it.
#pragma once

#include <cstdint>

#include "umdev/iommu/types.h"

namespace umdev::iommu {

// Called on the thread that pins, unpins or writes, with no lock held; from any number of threads at once.
class DirtySink {
 public:
  virtual ~DirtySink() = default;
  // A pin for writing was made: a device may write in the range at any time from now on. The answer comes
  // back with unpinned(); it is not 0.
  virtual std::uint64_t pinned(IovaRange range) = 0;
  // It is about to be dropped. `cookie` is what pinned() said of it, or 0 when it was made before the sink
  // was there (AddressSpace::pinned_for_writing has counted that one).
  virtual void unpinned(IovaRange range, std::uint64_t cookie) = 0;
  // A write() has put bytes there.
  virtual void written(IovaRange range) = 0;
};

}  // namespace umdev::iommu
