// Taking times: what is to be compared is measured in turns, so that a processor that changes its speed
// changes it for both.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace umdev::bench {

// How long everything is measured.
struct Effort {
  bool quick = false;  // only to see that it runs
  std::chrono::nanoseconds per_measurement = std::chrono::milliseconds(1500);
  // Many, and so short ones: what slows the machine down for a moment hits all that is compared.
  unsigned turns = 100;

  static Effort quickly() {
    return {.quick = true, .per_measurement = std::chrono::milliseconds(20), .turns = 2};
  }
};

// Times of one thing, in nanoseconds.
class Samples {
 public:
  void add(double nanoseconds) { values_.push_back(nanoseconds); }
  void reserve(std::size_t count) { values_.reserve(count); }
  std::size_t size() const { return values_.size(); }
  // The value below which `part` (0 to 1) of them lie; 0 when there are none.
  double quantile(double part) const;
  double median() const { return quantile(0.5); }
  double p99() const { return quantile(0.99); }

 private:
  std::vector<double> values_;
};

// Something to measure: does it `times` times. Short things are done in batches, for reading the clock costs
// as much as some of them.
struct Operation {
  std::function<void(std::size_t times)> run;
  std::size_t times = 1;
  std::function<void()> clean_up = {};  // after each sample, not timed
};

// Times each operation for Effort::per_measurement, in turns; a sample is the time of one, averaged over its
// batch. What comes before the first samples warms up.
std::vector<Samples> measure(const Effort& effort, std::span<const Operation> operations);

}  // namespace umdev::bench
