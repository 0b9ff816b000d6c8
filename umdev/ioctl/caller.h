// What one call may ask of the process that makes it: its memory, its descriptors, what it is allowed to do.
// The carrier implements it, a test fakes it; nothing else in this room reaches out of it.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/types.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::ioctl {

class File;
class LockedMemory;

// An address in the caller's memory: what a pointer is there.
using UserAddress = std::uint64_t;

// What the kernel decides by capability or resource limit.
struct Credentials {
  bool sys_rawio = false;                    // CAP_SYS_RAWIO: may use no-iommu groups
  bool sys_resource = false;                 // CAP_SYS_RESOURCE: may choose iommufd's way of accounting
  bool ipc_lock = false;                     // CAP_IPC_LOCK: may lock more than the limit
  std::uint64_t memlock_limit = UINT64_MAX;  // RLIMIT_MEMLOCK in bytes
};

// Memory of the caller that a device shall reach.
struct MemoryRequest {
  UserAddress address = 0;
  std::uint64_t size = 0;
  iommu::Access access = iommu::Access::none;  // as seen from the device
  // True for what an IOMMU would pin at once: then a part that is not mapped, or that is read-only and shall
  // be written, is EFAULT. Otherwise nobody looks before a device does, and the backing answers EFAULT then.
  bool must_be_there = false;
  // Are mapped regions of a device (VM_PFNMAP memory) taken? EFAULT where not.
  bool device_memory = true;
};

// A slice of a backing that begins at `offset`.
struct Memory {
  std::shared_ptr<iommu::Backing> backing;
  std::uint64_t offset = 0;
};

// Lifetime: whoever answers the call later keeps it until then. A process that dies meanwhile changes nothing
// but the answers here: memory is EFAULT, descriptors are EBADF. The call then ends as any other, and what it
// answers with is dropped. Threads: used by one thread at a time, not always the same.
class Caller {
 public:
  virtual ~Caller() = default;

  // All or nothing: EFAULT when a byte of it cannot be read (written).
  virtual Result<> read(UserAddress address, Bytes into) = 0;
  virtual Result<> write(UserAddress address, ConstBytes from) = 0;

  // A descriptor of the caller's as one of ours, for the same open file. EBADF; EMFILE.
  virtual Result<os::UniqueFd> take_fd(int fd) = 0;
  // Which of our open files a descriptor of the caller's stands for; null for one that is somebody else's.
  // EBADF.
  virtual Result<std::shared_ptr<File>> file(int fd) = 0;

  // Memory of the caller for devices, for as long as the backing lives. EFAULT; ENOMEM; ENOSPC where the
  // mappings of this process are spent.
  virtual Result<Memory> memory(const MemoryRequest& request) = 0;
  // The bytes of a file of the caller's: a memfd, or what stands for a dma-buf. EBADF; EINVAL a file of
  // another kind, or a range beyond its end.
  virtual Result<Memory> memory_of_file(int fd, std::uint64_t offset, std::uint64_t size,
                                        iommu::Access access) = 0;

  virtual Credentials credentials() = 0;
  // What the caller's address space has locked: one for all that share it, for as long as anybody uses it.
  virtual std::shared_ptr<LockedMemory> locked_memory() = 0;
};

}  // namespace umdev::ioctl
