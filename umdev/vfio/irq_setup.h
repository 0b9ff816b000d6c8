// How a user has set up the interrupts of its device, and what of them is under way: what another place needs
// to go on where this one stopped.
#pragma once

#include <cstdint>
#include <vector>

#include "umdev/os/unique_fd.h"

namespace umdev::vfio {

struct IrqVectorSetup {
  bool masked = false;
  bool line = false;     // of a level-triggered one: it is high
  bool pending = false;  // an edge that came while it was masked
  os::UniqueFd trigger;  // empty: silent
  os::UniqueFd unmask;   // empty: none
};

struct IrqIndexSetup {
  bool enabled = false;
  std::uint32_t vectors_enabled = 0;  // of a block: how many it was enabled with
  std::vector<IrqVectorSetup> vectors;
};

// By index.
using IrqSetup = std::vector<IrqIndexSetup>;

}  // namespace umdev::vfio
