// The memory behind an IOVA mapping: whatever a user of a device lent. Doors implement it.
#pragma once

#include <cstdint>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"

namespace umdev::iommu {

// A piece of a user's memory. Several mappings may be slices of one backing (one client file is mapped once,
// however many DMA_MAPs name it). Lives as long as a mapping or a pin of it does. All members are safe from
// any thread.
class Backing {
 public:
  virtual ~Backing() = default;

  // The memory as this process sees it; empty when it cannot be mapped (it is reached by messages, or by
  // copying from another process): such memory cannot be pinned (EOPNOTSUPP). Asked for when a mapping is
  // used for the first time, so a backing may map its memory only then; empty where that fails.
  virtual Bytes mapped() = 0;
  // The size of mapped(), known before it is asked for.
  virtual std::uint64_t mapped_size() { return mapped().size(); }

  // The file behind mapped()[0], for devices that hand memory on; -1 where there is none.
  virtual int fd() const { return -1; }
  virtual std::uint64_t fd_offset() const { return 0; }

  // False once the memory is known to be bad (its owner truncated the file under it): accesses answer EFAULT.
  virtual bool intact() const { return true; }

  // Only called when mapped() is empty. `offset` and the length are inside the slice that was mapped.
  // EDEADLK when the caller's user waits for an answer at this moment and so could never serve the access.
  virtual void read(std::uint64_t /*offset*/, Bytes /*into*/, Done<> done) {
    done(fail(EOPNOTSUPP, "no such access"));
  }
  virtual void write(std::uint64_t /*offset*/, ConstBytes /*from*/, Done<> done) {
    done(fail(EOPNOTSUPP, "no such access"));
  }
  // Are read() and write() over when they return?
  virtual bool copies_at_once() const { return false; }

  // Puts zero pages in the place of [offset, offset + size) of mapped(), in this process only: pointers into
  // it stay valid, what they point to is no longer the user's. Page aligned. Whoever keeps backings to make
  // further mappings of them must take a new one for this slice.
  virtual void revoke(std::uint64_t /*offset*/, std::uint64_t /*size*/) {}
};

}  // namespace umdev::iommu
