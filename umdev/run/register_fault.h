// An access of a program to registers that it has mapped: a fault, after which the device has been asked and
// the thread stands behind the instruction.
#pragma once

#include <sys/types.h>

#include "umdev/os/memory_map.h"
#include "umdev/run/mapped_registers.h"

namespace umdev::run {

// Serves the thread, which has stopped for its tracer (this thread) because SIGBUS is about to be delivered.
// `map` is of its memory. False: the signal is the program's. So it is when its own memory faults, and when
// the device, the mapping or this processor's part of us (see Instruction) does not allow the access; what
// the device knows no instruction for is in the daemon's log.
bool serve_fault(pid_t thread, pid_t process, os::MemoryMap& map, const MappedRegisters& mapped);

}  // namespace umdev::run
