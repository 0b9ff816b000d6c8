// An open file of the VFIO user API, as a carrier of system calls sees it: /dev/vfio/vfio, /dev/vfio/N,
// /dev/vfio/devices/vfioN, /dev/iommu, and what they give out. Nodes (nodes.h) opens them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "umdev/ioctl/caller.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/done.h"

namespace umdev::ioctl {

class File;

// What a successful ioctl answers with.
//
// At most one of `file` and `fd` is there. The carrier makes a descriptor of it in the caller, close-on-exec.
// Its number is the result of the call, or, where `fd_address` is set, is written there as 32 bits (and
// `value` is the result). What cannot be handed over is dropped: that closes it.
struct Answer {
  std::int32_t value = 0;
  std::shared_ptr<File> file;  // a new open file of ours
  os::UniqueFd fd;             // something else: memory that stands for a dma-buf
  std::optional<UserAddress> fd_address;
};

// mmap() of [offset, offset + length) of a file, as the kernel's f_op->mmap sees it.
struct MapRequest {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool shared = true;
  bool writable = true;
};

// `length` bytes from `position` on, counted from the begin of the mapping, are those of `fd` from
// `fd_offset` on. The descriptor stays ours: duplicate what is handed on. Without one they are registers:
// each access has to be made by read() and write() of this file, from `fd_offset` on.
struct MappedPiece {
  std::uint64_t position = 0;
  int fd = -1;
  std::uint64_t fd_offset = 0;
  std::uint64_t length = 0;
};

// poll().
struct Readiness {
  bool readable = true;
  bool writable = true;
};

enum class FileKind : std::uint8_t { container, group, device, iommufd, migration_data };

// One open file: its shared_ptr is the kernel's reference count (dup, fork and SCM_RIGHTS make no second
// one), and dropping the last is its release, which never waits. Files may be released in any order, also
// while calls of them are under way: a call keeps what it needs. Threads: every member from any, several at
// once.
class File {
 public:
  virtual ~File() = default;

  virtual FileKind kind() const = 0;

  // ioctl(fd, command, argument). Completes inline, unless it has to wait for a device (a reset, an open, an
  // unmap of memory that a device uses). Errors are those of the caller's errno.
  virtual void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                     Done<Answer> done) = 0;

  // pread() and pwrite(); read() and write() of a file that is_stream(), where `offset` means nothing.
  // Complete with the number of bytes done, inline where the device answers inline. `owner` keeps the buffer
  // for as long as a driver may touch it, which may be after `done`. The default is that of a file without
  // such a thing.
  virtual void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done);
  virtual void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                     Done<std::size_t> done);
  // True for a file without a position: lseek(), pread() and pwrite() are ESPIPE.
  virtual bool is_stream() const { return false; }

  // What lies behind a mapping, in order. What no piece covers cannot be reached. ENODEV for a file that
  // cannot be mapped; EINVAL for a part that cannot.
  virtual Result<std::vector<MappedPiece>> mmap(const MapRequest& request);

  virtual Readiness readiness() const { return {}; }
  // Completes when readiness() may say more than it did; ECANCELED when somebody else began to wait.
  virtual void when_ready(Done<> done) { done(); }
};

}  // namespace umdev::ioctl
