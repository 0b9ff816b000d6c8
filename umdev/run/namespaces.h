// A mount namespace of one's own, and the steps of a plan carried out in it.
#pragma once

#include <expected>
#include <string>

#include "umdev/run/plan.h"

namespace umdev::run {

// What could not be done, and where.
struct Problem {
  Error error;
  std::string path;  // empty: nowhere in particular
};

using Carried = std::expected<void, Problem>;

// Moves this process (it must have one thread) into a mount namespace of its own, whose changes nobody else
// sees; what others mount later is seen in it. Without the privilege for that, in a user namespace too, in
// which user and group stay what they are. EPERM, ENOSPC, EUSERS: this machine does not allow it; EINVAL:
// there are more threads.
Carried enter_namespaces();

// Carries a plan out, in a namespace that enter_namespaces() has made: what is done when a step fails stays
// done, so end the process then. The working directory is found anew.
Carried carry_out(const Plan& plan);

}  // namespace umdev::run
