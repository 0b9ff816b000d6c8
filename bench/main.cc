// umdev-bench: what umdev costs, beside what the machine itself costs.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <csignal>

#include "bench/sections.h"

namespace umdev::bench {
namespace {

struct Section {
  const char* name;
  const char* meaning;
  void (*measure)(const Effort&, Report&);
};
// In this order: the first forks, and must find the process without threads.
constexpr std::array sections{
    Section{"instances", "creating, keeping and removing thousands of instances", measure_instances},
    Section{"messages", "round trips, posted writes", measure_messages},
    Section{"memory", "memory lent, and memory reached by messages", measure_memory},
    Section{"neighbours", "a session beside hostile ones", measure_neighbours},
    Section{"tree", "the mounted tree, and a session beside it", measure_tree},
    Section{"unmodified", "system calls and DMA of a VFIO program under umdev run", measure_unmodified},
    Section{"core", "pins and interrupts, without a socket", measure_core},
    Section{"modules", "a C module beside the same driver in C++", measure_modules}};

std::string describe_sections() {
  std::string text = "Sections (all of them, when none is named):\n";
  for (const Section& section : sections) text += fmt::format("  {:<12}{}\n", section.name, section.meaning);
  return text +
         "\n`limit` is what the machine itself needs for the same, measured in the same run in turns; "
         "`ratio` "
         "says how many\ntimes as much umdev needs. bench/README.md says how to read the numbers.";
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const Section& section : sections) names.emplace_back(section.name);
  return names;
}

int run(int count, char** values) {
  CLI::App app("Measures what umdev costs, beside what the machine itself costs.", "umdev-bench");
  bool quick = false;
  bool json = false;
  std::vector<std::string> chosen;
  app.add_flag("--quick", quick, "measure only briefly: to see that it runs");
  app.add_flag("--json", json, "print JSON, when all is measured");
  app.add_option("SECTION", chosen, "what to measure")->check(CLI::IsMember(section_names()));
  app.footer([] { return describe_sections(); });
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {  // how CLI11 says so, --help included
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const Effort effort = quick ? Effort::quickly() : Effort{};
  Report report(json, quick);
  for (const auto& section : sections)
    if (chosen.empty() || std::ranges::find(chosen, section.name) != chosen.end())
      section.measure(effort, report);
  report.finish();
  return 0;
}

}  // namespace
}  // namespace umdev::bench

int main(int count, char** values) {
  return umdev::bench::run(count, values);
}
