// The one table that comes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/sampling.h"

namespace umdev::bench {

enum class Unit : std::uint8_t { nanoseconds, per_second, bytes, bytes_per_second };

// One line. `limit` is what the machine itself needs for the same, measured in the same run.
struct Row {
  std::string name;
  Unit unit = Unit::nanoseconds;
  double median = 0;
  std::optional<double> p99;
  std::optional<double> limit;
  std::optional<double> limit_p99;

  // How many times the machine's own cost: 1 is as good as it gets.
  std::optional<double> ratio() const;
  std::optional<double> p99_ratio() const;
};

// A row of times: with the 99th percentile where a sample is one operation. `limit` may be null.
Row row_of(std::string name, const Samples& samples, const Samples* limit = nullptr);
// A row of times that are averages of batches, so that only the median says something.
Row cost_row(std::string name, const Samples& samples, const Samples* limit = nullptr);

class Report {
 public:
  // As JSON everything is printed at the end, as a table each row when it is known.
  explicit Report(bool json, bool quick);
  void section(std::string title);
  void add(Row row);
  // What else is to be known; printed below the row before it.
  void remark(const std::string& text);
  void finish();

 private:
  struct Entry {
    std::string section;
    Row row;
  };
  const bool json_;
  const bool quick_;
  std::string section_;
  std::vector<Entry> entries_;
  std::vector<std::string> remarks_;
};

}  // namespace umdev::bench
