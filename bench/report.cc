#include "bench/report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

namespace umdev::bench {
namespace {

#ifdef __OPTIMIZE__
constexpr bool optimised = true;
#else
constexpr bool optimised = false;
#endif

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

// Three significant digits with the largest fitting step of a unit.
struct Step {
  double size;
  const char* name;
};
std::string with_step(double value, std::span<const Step> steps) {
  const Step* fitting = &steps.front();
  for (const Step& step : steps)
    if (value >= step.size) fitting = &step;
  const double scaled = value / fitting->size;
  const int decimals = scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", scaled, decimals, fitting->name);
}

std::string to_text(std::optional<double> value, Unit unit) {
  static constexpr std::array times{Step{1, "ns"}, Step{1e3, "us"}, Step{1e6, "ms"}, Step{1e9, "s"}};
  static constexpr std::array rates{Step{1, "/s"}, Step{1e3, "k/s"}, Step{1e6, "M/s"}};
  static constexpr std::array sizes{Step{1, "B"}, Step{1024, "KiB"}, Step{1024.0 * 1024, "MiB"}};
  static constexpr std::array speeds{Step{1, "B/s"}, Step{1e6, "MB/s"}, Step{1e9, "GB/s"}};
  if (!value) return "";
  switch (unit) {
    case Unit::nanoseconds:
      return with_step(*value, times);
    case Unit::per_second:
      return with_step(*value, rates);
    case Unit::bytes:
      return with_step(*value, sizes);
    case Unit::bytes_per_second:
      return with_step(*value, speeds);
  }
  return "";
}

std::string to_text(std::optional<double> ratio) {
  return ratio ? fmt::format("{:.2f}", *ratio) : "";
}

const char* name_of(Unit unit) {
  switch (unit) {
    case Unit::nanoseconds:
      return "ns";
    case Unit::per_second:
      return "1/s";
    case Unit::bytes:
      return "bytes";
    case Unit::bytes_per_second:
      return "bytes/s";
  }
  return "";
}

void print_line(const std::string& name, const std::array<std::string, 5>& cells) {
  std::string line = fmt::format("{:<58}{:>10}{:>10}{:>10}{:>8}{:>8}", name, cells[0], cells[1], cells[2],
                                 cells[3], cells[4]);
  line.erase(line.find_last_not_of(' ') + 1);
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// What makes numbers incomparable with those of another run.
std::vector<std::string> warnings(bool quick) {
  std::vector<std::string> texts;
  if (quick) texts.emplace_back("quick: measured too briefly for the numbers to mean anything");
  if (!optimised) texts.emplace_back("not an optimised build: see ./dev bench");
  if (const double load = load_average(); load > 0.5)
    texts.push_back(fmt::format("the machine is busy: load average {:.2f} at the start", load));
  return texts;
}

nlohmann::json to_json(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

bool is_rate(Unit unit) {
  return unit == Unit::per_second || unit == Unit::bytes_per_second;
}

std::optional<double> divide(std::optional<double> value, std::optional<double> by) {
  if (!value || !by || *by <= 0) return {};
  return *value / *by;
}

}  // namespace

std::optional<double> Row::ratio() const {
  return is_rate(unit) ? divide(limit, median) : divide(median, limit);
}

std::optional<double> Row::p99_ratio() const {
  return is_rate(unit) ? divide(limit_p99, p99) : divide(p99, limit_p99);
}

Row row_of(std::string name, const Samples& samples, const Samples* limit) {
  Row row = cost_row(std::move(name), samples, limit);
  row.p99 = samples.p99();
  if (limit != nullptr) row.limit_p99 = limit->p99();
  return row;
}

Row cost_row(std::string name, const Samples& samples, const Samples* limit) {
  Row row{.name = std::move(name), .median = samples.median()};
  if (limit != nullptr) row.limit = limit->median();
  return row;
}

Report::Report(bool json, bool quick) : json_(json), quick_(quick), remarks_(warnings(quick)) {
  if (json_) return;
  for (const std::string& text : remarks_) fmt::print("! {}\n", text);
  print_line("", {"median", "p99", "limit", "ratio", "of p99"});
}

void Report::section(std::string title) {
  section_ = std::move(title);
  if (!json_) fmt::print("\n{}\n", section_);
}

void Report::add(Row row) {
  if (!json_) {
    print_line("  " + row.name,
               {to_text(row.median, row.unit), to_text(row.p99, row.unit), to_text(row.limit, row.unit),
                to_text(row.ratio()), to_text(row.p99_ratio())});
  }
  entries_.push_back({section_, std::move(row)});
}

void Report::remark(const std::string& text) {
  if (!json_) fmt::print("  ! {}\n", text);
  remarks_.push_back(text);
}

void Report::finish() {
  if (!json_) return;
  utsname system{};
  (void)::uname(&system);
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& [section, row] : entries_) {
    rows.push_back({{"section", section},
                    {"name", row.name},
                    {"unit", name_of(row.unit)},
                    {"median", row.median},
                    {"p99", to_json(row.p99)},
                    {"limit", to_json(row.limit)},
                    {"ratio", to_json(row.ratio())},
                    {"p99_ratio", to_json(row.p99_ratio())}});
  }
  const nlohmann::json document{{"machine",
                                 {{"processors", std::thread::hardware_concurrency()},
                                  {"kernel", system.release},
                                  {"architecture", system.machine}}},
                                {"quick", quick_},
                                {"optimised", optimised},
                                {"remarks", remarks_},
                                {"rows", std::move(rows)}};
  fmt::print("{}\n", document.dump(2));
}

}  // namespace umdev::bench
