// What the system allows this process.
#pragma once

#include <cstdint>

#include "umdev/support/error.h"

namespace umdev::os {

// Raises the soft limit of open descriptors to the hard one, and returns how many that are. The daemon's
// budgets are computed from it. Children that use select() should not inherit a limit above 1024.
Result<std::uint64_t> raise_descriptor_limit();

// How many memory mappings a process may have (vm.max_map_count); the kernel's default, 65530, where it
// cannot be read.
std::uint64_t mapping_limit();

}  // namespace umdev::os
