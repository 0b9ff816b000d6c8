// Tracing programs from inside the daemon: what a supervisor asks for, and what is lent to do it.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/os/process.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/done.h"
#include "umdev/uapi/registers.h"

namespace umdev::uapi {

// A program's mmap() of a device, stopped by its supervisor's filter. Whoever asks for it has shown that it
// may do with the program what it likes: it holds its memory open.
struct StoppedMapping {
  // As ioctl::MappedPiece, with a descriptor of its own: of registers, the one of what faults in their place.
  struct Piece {
    std::uint64_t position = 0;
    os::UniqueFd fd;
    std::uint64_t fd_offset = 0;
    std::uint64_t length = 0;
  };

  pid_t thread = 0;
  std::uint64_t id = 0;  // the call's, at the listener
  std::array<std::uint64_t, 6> arguments{};
  os::UniqueFd listener;
  uid_t user = 0;       // who asks
  os::UniqueFd memory;  // /proc/THREAD/mem; gone when the program has become another
  std::vector<Piece> pieces;
  // Null when none of the pieces is registers; then `faults` is what is mapped in their place.
  std::shared_ptr<Registers> registers;
  os::FileIdentity faults;
};

// Traces the programs of one supervisor until it is destroyed, which waits for nobody. Any thread.
class ProgramTracer {
 public:
  virtual ~ProgramTracer() = default;

  // Makes the mapping in the program and answers its call; from the first registers on the program is
  // traced, and its accesses to them are served here. EPERM when that cannot be, or need not be (memory of a
  // program that is not traced here): nothing has happened then, and the call still waits.
  virtual void map(StoppedMapping mapping, Done<> done) = 0;
};

// Any thread.
class ProgramTracers {
 public:
  virtual ~ProgramTracers() = default;

  // EAGAIN: there are enough of them.
  virtual Result<std::unique_ptr<ProgramTracer>> create_tracer() = 0;
};

}  // namespace umdev::uapi
