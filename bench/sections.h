// What is measured. Each adds its rows to the report; README.md says what they mean.
#pragma once

#include "bench/report.h"
#include "bench/sampling.h"

namespace umdev::bench {

// `instances`: forks, so it comes before anything that starts a thread.
void measure_instances(const Effort& effort, Report& report);
// `messages`: round trips, posted writes.
void measure_messages(const Effort& effort, Report& report);
// `memory`: DMA_MAP and DMA_UNMAP, DMA_READ and DMA_WRITE.
void measure_memory(const Effort& effort, Report& report);
// `neighbours`: a well-behaved session beside hostile ones.
void measure_neighbours(const Effort& effort, Report& report);
// `core`: pins and interrupts, without a socket.
void measure_core(const Effort& effort, Report& report);

// `tree`: the mounted tree: listing it, creating and removing through it, and a session beside that.
void measure_tree(const Effort& effort, Report& report);
// `modules`: a driver with the kernel's interface beside a native one.
void measure_modules(const Effort& effort, Report& report);

// `unmodified`: VFIO programs under `umdev run`: their calls, their memory, and what is none of VFIO's.
void measure_unmodified(const Effort& effort, Report& report);

}  // namespace umdev::bench
