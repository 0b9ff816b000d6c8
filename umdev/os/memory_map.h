// Which memory a process has where, asked often.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "umdev/os/process.h"

namespace umdev::os {

// /proc/PID/maps, held open: of the memory that the process had then, whatever becomes of the process. On
// Linux 6.11 and later a question costs about a microsecond, before that all lines are read. One thread at a
// time.
class MemoryMap {
 public:
  // By the number of one of its threads. Needs the right to look at it (EACCES); ESRCH, ENOENT.
  static Result<MemoryMap> open(pid_t thread);

  // The area that the address is in; ENOENT where there is none; ENOENT or ESRCH: the memory is gone.
  Result<MemoryArea> area_at(std::uint64_t address);

 private:
  explicit MemoryMap(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<MemoryArea> search(std::uint64_t address) const;

  UniqueFd fd_;
  bool can_ask_ = true;
};

}  // namespace umdev::os
