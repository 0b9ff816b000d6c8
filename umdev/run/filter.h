// The system calls of a program that a file system cannot serve, and that therefore stop and ask.
#pragma once

#include "umdev/os/unique_fd.h"

namespace umdev::run {

// ioctls whose result is a new descriptor (or that a kernel refuses for files of a file system), by their
// number, whatever they are called on; and mmap of a file that is shared, or of an offset at which only
// devices have something. All else costs what the kernel takes to look (some ten nanoseconds).
//
// From now on this process (it has one thread), and everything that it becomes and starts, asks on the
// descriptor that is returned. Without CAP_SYS_ADMIN it gives up for ever what set-user-ID programs would
// give it (no_new_privs). Once nobody listens, these calls are ENOSYS. EBUSY: somebody
// listens to this process already (`umdev run` in `umdev run`). EINVAL, ENOSYS: a kernel without such filters
// (before 5.19); EPERM, EACCES: they are not allowed here. Nothing has changed then.
Result<os::UniqueFd> install_filter();

// Offsets from here on are those of device files: regions 1 and up of a VFIO device.
inline constexpr unsigned long long device_offsets = 1ULL << 39;

}  // namespace umdev::run
