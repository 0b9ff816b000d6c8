#include "umdev/manage/metrics.h"

#include <fmt/format.h>

#include "umdev/support/assert.h"

namespace umdev::manage {
namespace {

constexpr double nanoseconds_per_second = 1e9;

std::string_view to_string(MetricKind kind) {
  switch (kind) {
    case MetricKind::counter:
      return "counter";
    case MetricKind::gauge:
      return "gauge";
    case MetricKind::histogram:
      return "histogram";
  }
  return "untyped";
}

// As the format asks: a value's quote, backslash and newline; of a help text only the last two.
std::string escape(std::string_view text, bool quotes) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == '\n')
      escaped += "\\n";
    else if (letter == '\\')
      escaped += "\\\\";
    else if (letter == '"' && quotes)
      escaped += "\\\"";
    else
      escaped += letter;
  }
  return escaped;
}

// {a="1",b="2"}, with one more at the end where there is one; nothing without labels.
std::string to_text(const Labels& labels, std::string_view last_name = {}, std::string_view last_value = {}) {
  std::string text;
  for (const auto& [name, value] : labels)
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, escape(value, true));
  if (!last_name.empty()) text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", last_name, last_value);
  return text.empty() ? text : "{" + text + "}";
}

void write_histogram(std::string_view name, const Metric& metric, std::string& into) {
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < HistogramBuckets::bounds; ++bucket) {
    below += metric.histogram.buckets[bucket];
    const double bound = static_cast<double>(HistogramBuckets::bound(bucket)) / nanoseconds_per_second;
    into += fmt::format("{}_bucket{} {}\n", name, to_text(metric.labels, "le", fmt::to_string(bound)), below);
  }
  const std::uint64_t all = metric.histogram.count();
  into += fmt::format("{}_bucket{} {}\n", name, to_text(metric.labels, "le", "+Inf"), all);
  into += fmt::format("{}_sum{} {}\n", name, to_text(metric.labels),
                      static_cast<double>(metric.histogram.nanoseconds) / nanoseconds_per_second);
  into += fmt::format("{}_count{} {}\n", name, to_text(metric.labels), all);
}

}  // namespace

void MetricSet::add(std::string_view name, std::string_view help, MetricKind kind, Metric metric) {
  MetricFamily& family = families_[name];
  UMDEV_ASSERT(family.metrics.empty() || family.kind == kind, "a metric has one kind");
  family.help = help;
  family.kind = kind;
  family.metrics.push_back(std::move(metric));
}

void MetricSet::counter(std::string_view name, std::string_view help, std::uint64_t value, Labels labels) {
  add(name, help, MetricKind::counter,
      {.labels = std::move(labels), .value = static_cast<double>(value), .histogram = {}});
}

void MetricSet::gauge(std::string_view name, std::string_view help, std::uint64_t value, Labels labels) {
  add(name, help, MetricKind::gauge,
      {.labels = std::move(labels), .value = static_cast<double>(value), .histogram = {}});
}

void MetricSet::histogram(std::string_view name, std::string_view help, const HistogramValues& values,
                          Labels labels) {
  add(name, help, MetricKind::histogram, {.labels = std::move(labels), .value = 0, .histogram = values});
}

std::string to_prometheus(const MetricSet& set) {
  std::string text;
  for (const auto& [name, family] : set.families()) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escape(family.help, false), name,
                        to_string(family.kind));
    for (const Metric& metric : family.metrics) {
      if (family.kind == MetricKind::histogram)
        write_histogram(name, metric, text);
      else
        text += fmt::format("{}{} {}\n", name, to_text(metric.labels), metric.value);
    }
  }
  return text;
}

void Metrics::add(const MetricSource& source) {
  Lock lock(mutex_);
  sources_.push_back(&source);
}

MetricSet Metrics::collect() const {
  std::vector<const MetricSource*> sources;
  {
    Lock lock(mutex_);
    sources = sources_;
  }
  MetricSet set;
  for (const MetricSource* source : sources) source->report(set);
  return set;
}

}  // namespace umdev::manage
