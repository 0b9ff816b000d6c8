#include "apps/umdev/run.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <optional>

#include "umdev/control/paths.h"
#include "umdev/run/filter.h"
#include "umdev/run/namespaces.h"
#include "umdev/run/program.h"
#include "umdev/run/supervisor.h"

namespace umdev::cli {
namespace {

Failure not_run(std::string text) {
  return {.status = run::exit_not_run, .text = std::move(text)};
}

// A path without links, or nothing when it leads nowhere.
std::string real_path(const std::string& path) {
  std::error_code error;
  const auto found = std::filesystem::canonical(path, error);
  return error ? std::string() : found.string();
}

std::string nodes_directory(const std::string& directory) {
  return directory + "/" + std::string(control::nodes_directory_name);
}

bool is_mdevctl(const RunOptions& options) {
  return !options.program.empty() && std::filesystem::path(options.program.front()).filename() == "mdevctl";
}

// What mdevctl and its users look for besides /sys, and what VFIO programs open.
std::vector<run::Place> places_of(const std::string& directory, const RunOptions& options) {
  const bool cover = options.cover || is_mdevctl(options);
  std::vector<run::Place> places;
  if (const auto definitions = real_path(directory + "/etc/mdevctl.d"); !definitions.empty())
    places.push_back({.path = "/etc/mdevctl.d", .source = definitions, .may_cover = cover});
  // A vendor's scripts on the host stay.
  const std::string scripts = "/usr/lib/mdevctl/scripts.d";
  if (const auto ours = real_path(directory + scripts); !ours.empty() && real_path(scripts).empty())
    places.push_back({.path = scripts, .source = ours, .may_cover = cover});
  // Every open of /dev/iommu looks its name up: only so the daemon can tell one from the other. Of one file
  // that is mounted alone no name is looked up.
  if (const auto nodes = real_path(nodes_directory(directory) + "/vfio"); !nodes.empty()) {
    places.push_back({.path = "/dev/vfio", .source = nodes, .may_cover = true});
    places.push_back({.path = "/dev/iommu",
                      .source = nodes_directory(directory) + "/iommu",
                      .type = run::EntryType::link,
                      .may_cover = true});
  }
  return places;
}

Outcome<run::Plan> plan_for(const std::string& directory, const RunOptions& options) {
  const run::Request request{.tree = directory + "/sys", .places = places_of(directory, options)};
  auto plan = run::make_plan(run::HostFilesystem(), request);
  if (plan) return std::move(*plan);
  if (plan.error().code == ENOENT)
    return std::unexpected(not_run(
        fmt::format("the daemon of {0} shows no tree in {0}/sys\n"
                    "  its log says why: it needs /dev/fuse (and fusermount3, when it does not run as root)",
                    directory)));
  return std::unexpected(not_run(fmt::format("cannot look at {} and /sys: {} ({})", request.tree,
                                             plan.error().text, errno_name(plan.error().code))));
}

void explain(const run::Plan& plan) {
  for (const run::Step& step : plan.steps) fmt::print("{}\n", run::describe(step));
  for (const std::string& path : plan.hidden) fmt::print("hides {}\n", path);
  for (const std::string& path : plan.missing) fmt::print("lacks {} (--cover makes it)\n", path);
}

// Whoever needs no VFIO is served without it.
void warn(const Error& error) {
  fmt::print(stderr, "umdev: the program cannot get VFIO devices: {} ({})\n", error.text,
             errno_name(error.code));
}

// None where the daemon has no device nodes.
std::optional<run::Supervisor> start_supervisor(const std::string& directory) {
  if (real_path(nodes_directory(directory) + "/vfio").empty()) return std::nullopt;
  auto supervisor = run::Supervisor::start(nodes_directory(directory));
  if (supervisor) return std::move(*supervisor);
  warn(supervisor.error());
  return std::nullopt;
}

// The last step before this process becomes the program.
Outcome<> come_under(run::Supervisor& supervisor) {
  const auto listener = run::install_filter();
  // In a program that is run already, whose supervisor serves this one too.
  if (!listener && listener.error().code == EBUSY) return {};
  if (!listener) {
    warn(listener.error());
    return {};
  }
  if (auto taken = supervisor.take_charge(*listener); !taken)
    return std::unexpected(
        not_run(fmt::format("{} ({})", taken.error().text, errno_name(taken.error().code))));
  return {};
}

Failure refused(const run::Problem& problem) {
  const std::string place = problem.path.empty() ? "" : problem.path + ": ";
  std::string text = fmt::format("{}{} ({})", place, problem.error.text, errno_name(problem.error.code));
  if (problem.path.empty())
    text += "\n  it takes root (CAP_SYS_ADMIN), or user namespaces that this machine lets its users make";
  return not_run(std::move(text));
}

}  // namespace

SplitWords split_words(std::span<char* const> words) {
  SplitWords split;
  std::size_t next = 0;
  const auto take = [&] { split.own.emplace_back(words[next++]); };
  if (next < words.size()) take();  // umdev itself
  while (next < words.size()) {
    const std::string_view word = words[next];
    if (split.is_run && word == "--") {
      ++next;
      break;
    }
    if (word == "--runtime-dir") {
      take();
      if (next < words.size()) take();
    } else if (word.starts_with('-')) {
      take();
    } else if (!split.is_run && word == "run") {
      split.is_run = true;
      take();
    } else if (split.is_run) {
      break;
    } else {  // another subcommand
      const bool has_rest = word == "cc";
      while (next < words.size() && !(has_rest && std::string_view(words[next]) == "--")) take();
      if (next < words.size()) ++next;
      break;
    }
  }
  split.rest.assign(words.begin() + static_cast<std::ptrdiff_t>(next), words.end());
  return split;
}

Outcome<> run_program(const Options& options, const RunOptions& run) {
  if (run.program.empty() && !run.explain)
    return std::unexpected(not_run("run: say which program\n  umdev run [--] PROGRAM [ARGUMENT...]"));
  // A tree is only as alive as its daemon: a dead one leaves a mount behind on which every access fails.
  if (auto remote = Remote::connect(options.runtime_directory); !remote)
    return std::unexpected(not_run(std::move(remote).error().text));
  const std::string directory = real_path(options.runtime_directory);
  auto plan = plan_for(directory, run);
  if (!plan) return std::unexpected(std::move(plan).error());
  if (run.explain) {
    explain(*plan);
    return {};
  }
  auto supervisor = start_supervisor(directory);
  if (auto entered = run::enter_namespaces(); !entered) return std::unexpected(refused(entered.error()));
  if (auto done = run::carry_out(*plan); !done) return std::unexpected(refused(done.error()));
  if (supervisor)
    if (auto supervised = come_under(*supervisor); !supervised) return supervised;
  // So that the umdev commands of the program find the same daemon; and libudev believes what is no sysfs.
  ::setenv("UMDEV_RUNTIME_DIR", directory.c_str(), 1);
  ::setenv("SYSTEMD_DEVICE_VERIFY_SYSFS", "0", 0);
  const Error error = run::become(run.program);
  return std::unexpected(
      Failure{.status = run::exit_status_of(error),
              .text = fmt::format("{}: {} ({})", run.program.front(), error.text, errno_name(error.code))});
}

}  // namespace umdev::cli
