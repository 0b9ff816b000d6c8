// Numbers about a running daemon, for people and for Prometheus. Who has some registers a source, which is
// asked when somebody looks: what counts, counts in atomics of its own, and knows nothing of this.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/support/histogram.h"
#include "umdev/support/mutex.h"

namespace umdev::manage {

// The value of each label; the names are constants.
using Labels = std::vector<std::pair<std::string_view, std::string>>;

enum class MetricKind : std::uint8_t { counter, gauge, histogram };

struct Metric {
  Labels labels;
  double value = 0;           // of a counter or a gauge
  HistogramValues histogram;  // of a histogram: durations
};

// All metrics of one name.
struct MetricFamily {
  std::string_view help;
  MetricKind kind = MetricKind::gauge;
  std::vector<Metric> metrics;
};

// What was known at one moment. Names and help texts are constants; a name has one kind. Names follow
// Prometheus's rules: umdev_THING[_UNIT], seconds and bytes, counters end in _total. Not thread-safe.
class MetricSet {
 public:
  void counter(std::string_view name, std::string_view help, std::uint64_t value, Labels labels = {});
  void gauge(std::string_view name, std::string_view help, std::uint64_t value, Labels labels = {});
  // In seconds.
  void histogram(std::string_view name, std::string_view help, const HistogramValues& values,
                 Labels labels = {});

  // In the order of the names.
  const std::map<std::string_view, MetricFamily>& families() const { return families_; }

 private:
  void add(std::string_view name, std::string_view help, MetricKind kind, Metric metric);

  std::map<std::string_view, MetricFamily> families_;
};

// The text format 0.0.4 of Prometheus.
std::string to_prometheus(const MetricSet& set);

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  // Any thread, several at once, with no lock held.
  virtual void report(MetricSet& set) const = 0;
};

// The sources. Any thread.
class Metrics {
 public:
  // The source lives for as long as anybody may ask.
  void add(const MetricSource& source) UMDEV_EXCLUDES(mutex_);

  // Asks all of them.
  MetricSet collect() const UMDEV_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<const MetricSource*> sources_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::manage
