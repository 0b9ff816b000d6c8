// How many threads serve clients, and whether they may look for work before they sleep.
#pragma once

#include <algorithm>
#include <cstddef>

#include "umdev/support/host.h"

namespace umdev::daemon {

struct WorkerPlan {
  std::size_t workers = 1;
  Duration spin = Duration::zero();
};

inline constexpr std::size_t workers_max = 4;
inline constexpr Duration spin_max = std::chrono::milliseconds(1);

// `asked` workers, or when it is 0 one for each processor, four at most. Those who look take their processors
// from everybody, so one processor is left over, or nobody looks.
inline WorkerPlan plan_workers(std::size_t asked, std::size_t processors, Duration spin) {
  const std::size_t spare = spin > Duration::zero() && processors > 1 ? 1 : 0;
  const std::size_t usual = std::clamp(processors - std::min(processors, spare), std::size_t{1}, workers_max);
  const std::size_t workers = asked != 0 ? asked : usual;
  return {.workers = workers,
          .spin = workers < processors ? std::clamp(spin, Duration::zero(), spin_max) : Duration::zero()};
}

}  // namespace umdev::daemon
