// What memory a process has, asked of the kernel area by area: PROCMAP_QUERY on an open /proc/PID/maps, a
// look-up each, where the text of the file has a line for everything that the process has. ENOTTY before
// Linux 6.11. ESRCH: the process has ended.
#pragma once

#include <cstdint>
#include <vector>

#include "umdev/os/process.h"

namespace umdev::os {

// The area that the address is in; ENOENT where there is none.
Result<MemoryArea> query_area(int maps, std::uint64_t address);

// The areas that meet [begin, end), in their order.
Result<std::vector<MemoryArea>> query_areas(int maps, std::uint64_t begin, std::uint64_t end);

}  // namespace umdev::os
