// mmap for a stopped program: of other files than it asked for.
#pragma once

#include <vector>

#include "umdev/run/device_mount.h"
#include "umdev/run/listener.h"
#include "umdev/run/tracer.h"

namespace umdev::run {

// Answers a stopped mmap() of a device file with a mapping of the pieces, where the call wants it; what no
// piece covers cannot be touched. Nobody but the program itself can change its mappings, so its thread is
// traced (ptrace) for a few system calls: under a debugger the program cannot map a device (EBUSY). The
// calling thread must be the same until this returns.
//
// On the tracing thread. Of registers, the pieces have what faults in their place; then the tracer traces the
// program already.
void map_in_place_of(const Listener& listener, const StoppedCall& call, Tracer& tracer,
                     const std::vector<CarriedPiece>& pieces);

}  // namespace umdev::run
