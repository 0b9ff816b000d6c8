// VFIO programs, unmodified, under `umdev run`: the daemon is here, the program is a process of its own
// (bench/program).
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "apps/umdevd/daemon.h"
#include "bench/child.h"
#include "bench/null_daemon.h"
#include "bench/sections.h"

namespace umdev::bench {
namespace {

constexpr const char* program_name = "bench/umdev-bench-program";

std::unique_ptr<daemon::Daemon> start_engine_daemon(const std::string& directory, Log& log) {
  daemon::DaemonOptions options{.runtime_directory = directory, .config = {}, .mount_tree = true};
  const daemon::DriverEntry* const driver = daemon::find_driver("ioat");
  if (driver == nullptr) give_up("the DMA engine's driver");
  options.config.parents.push_back({.name = "ioat", .driver = driver, .options = {1}});
  auto started = daemon::Daemon::start(std::move(options), log);
  if (!started) give_up(started.error());
  return std::move(*started);
}

// What the program says of one thing.
struct Said {
  std::string name;
  double median = 0;
  double p99 = 0;
  double limit = 0;
  double limit_p99 = 0;
};

Said parse(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t tab = line.find('\t'); tab != std::string_view::npos; tab = line.find('\t')) {
    words.push_back(line.substr(0, tab));
    line.remove_prefix(tab + 1);
  }
  words.push_back(line);
  if (words.size() != 5) give_up("what the measured program says makes no sense");
  const auto number = [&](std::size_t index) {
    double value = 0;
    std::from_chars(words[index].data(), words[index].data() + words[index].size(), value);
    return value;
  };
  return {.name = std::string(words[0]),
          .median = number(1),
          .p99 = number(2),
          .limit = number(3),
          .limit_p99 = number(4)};
}

class Programs {
 public:
  Programs(const Effort& effort, const daemon::Daemon& daemon) : effort_(effort), daemon_(daemon) {}

  std::vector<std::string> words(bool under_umdev_run, std::vector<std::string> what) const {
    std::vector<std::string> all;
    if (under_umdev_run)
      all = {built("bin/umdev"), "--runtime-dir", daemon_.runtime_directory(), "run", "--"};
    all.push_back(built(program_name));
    if (effort_.quick) all.emplace_back("--quick");
    all.insert(all.end(), what.begin(), what.end());
    return all;
  }

  // Can programs be run so here at all?
  bool work() const {
    Child child({built("bin/umdev"), "--runtime-dir", daemon_.runtime_directory(), "run", "--", "/bin/true"});
    while (child.next_line()) continue;
    return child.end() == 0;
  }

  template <typename Use>
  void for_each_row(std::vector<std::string> what, Use use) const {
    Child child(words(true, std::move(what)));
    while (const auto line = child.next_line()) use(parse(*line));
    if (child.end() != 0) give_up("the measured program");
  }

 private:
  const Effort effort_;
  const daemon::Daemon& daemon_;
};

void measure_calls(const Programs& programs, Report& report, const std::string& device) {
  report.section("system calls of a VFIO program under umdev run, on one processor");
  programs.for_each_row({"calls", device}, [&](const Said& said) {
    report.add({.name = said.name,
                .median = said.median,
                .p99 = said.p99,
                .limit = said.limit,
                .limit_p99 = said.limit_p99});
  });
}

void measure_dma(const Programs& programs, Report& report, const std::string& device, const char* where) {
  report.section(fmt::format(
      "copies by a DMA engine in the memory of such a program, by the size of a descriptor, {}", where));
  programs.for_each_row({"dma", device}, [&](const Said& said) {
    report.add({.name = said.name,
                .unit = Unit::bytes_per_second,
                .median = 1e9 / said.median,
                .limit = 1e9 / said.limit});
  });
}

// Two processes of the same program, in turns. A turn of theirs is long.
void measure_untouched(const Effort& effort, const Programs& programs, Report& report) {
  report.section("system calls of such a program that are none of VFIO's");
  Child with(programs.words(true, {"untouched"}));
  Child without(programs.words(false, {"untouched"}));
  std::vector<std::string> names;
  std::map<std::string, std::array<Samples, 2>> medians;
  const unsigned turns = effort.quick ? 2 : 5;
  for (unsigned turn = 0; turn < turns; ++turn) {
    for (const bool is_with : {true, false}) {
      Child& child = is_with ? with : without;
      child.say_line();
      for (auto line = child.next_line(); line && !line->empty(); line = child.next_line()) {
        const Said said = parse(*line);
        if (!medians.contains(said.name)) names.push_back(said.name);
        medians[said.name][is_with ? 0 : 1].add(said.median);
      }
    }
  }
  for (const std::string& name : names)
    report.add(cost_row(name + ", limit: without umdev run", medians[name][0], medians[name].data() + 1));
}

// A daemon with a DMA engine, on the processors of whoever makes it: who starts threads and programs hands
// its own on.
class EngineWorld {
 public:
  explicit EngineWorld(const Effort& effort)
      : daemon_(start_engine_daemon(directory_.path() + "/run", log_)), programs_(effort, *daemon_) {
    const mdev::CreateRequest request{
        .parent = "ioat", .type = "ioat-1", .uuid = uuid_of(1), .owner = {}, .attributes = {}};
    wait_for([&](Done<> done) { daemon_->bus().create(request, std::move(done)); }, "creating a DMA engine");
  }
  ~EngineWorld() {
    wait_for([&](Done<> done) { daemon_->bus().remove(uuid_of(1), RemovePolicy::wait, std::move(done)); },
             "removing a DMA engine");
  }

  const Programs& programs() const { return programs_; }
  std::string device() const { return uuid_of(1).to_string(); }
  bool works() const { return daemon_->tree_mount() != nullptr && programs_.work(); }

 private:
  const ScratchDirectory directory_;
  NullLog log_;
  const std::unique_ptr<daemon::Daemon> daemon_;
  const Programs programs_;
};

}  // namespace

void measure_unmodified(const Effort& effort, Report& report) {
  {
    const Pin pin(processors().back());
    const EngineWorld world(effort);
    if (!world.works()) {
      report.section("VFIO programs under umdev run");
      report.remark("FUSE, or namespaces, cannot be had here: nothing to measure");
      return;
    }
    measure_calls(world.programs(), report, world.device());
    measure_untouched(effort, world.programs(), report);
    measure_dma(world.programs(), report, world.device(), "on one processor");
  }
  if (processors().size() == 1) return;
  const EngineWorld world(effort);
  measure_dma(world.programs(), report, world.device(), "on all processors");
}

}  // namespace umdev::bench
