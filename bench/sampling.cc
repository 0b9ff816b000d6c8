#include "bench/sampling.h"

#include <algorithm>

namespace umdev::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double nanoseconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::nano>(SteadyClock::now() - start).count();
}

// At least once, however short the time.
void sample_for(std::chrono::nanoseconds time, const Operation& operation, Samples* samples) {
  const auto end = SteadyClock::now() + time;
  do {
    const auto start = SteadyClock::now();
    operation.run(operation.times);
    const double taken = nanoseconds_since(start);
    if (samples != nullptr) samples->add(taken / static_cast<double>(operation.times));
    if (operation.clean_up) operation.clean_up();
  } while (SteadyClock::now() < end);
}

}  // namespace

double Samples::quantile(double part) const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  const auto index = static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1));
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(sorted.begin(), at, sorted.end());
  return *at;
}

std::vector<Samples> measure(const Effort& effort, std::span<const Operation> operations) {
  std::vector<Samples> samples(operations.size());
  const auto turn = effort.per_measurement / effort.turns;
  for (unsigned i = 0; i < effort.turns; ++i) {
    for (std::size_t j = 0; j < operations.size(); ++j) {
      sample_for(turn / 10, operations[j], nullptr);
      sample_for(turn, operations[j], &samples[j]);
    }
  }
  return samples;
}

}  // namespace umdev::bench
