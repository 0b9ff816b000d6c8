#include "bench/machine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "umdev/os/mapping.h"

namespace umdev::bench {
namespace {

cpu_set_t set_of(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (processor >= 0) {
    CPU_SET(static_cast<std::size_t>(processor), &set);
  } else {
    for (const int each : processors()) CPU_SET(static_cast<std::size_t>(each), &set);
  }
  return set;
}

std::vector<int> find_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) give_up("sched_getaffinity");
  std::vector<int> found;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(static_cast<std::size_t>(i), &set)) found.push_back(i);
  return found;
}

rusage usage() {
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) give_up("getrusage");
  return used;
}

double to_nanoseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
}

}  // namespace

void give_up(std::string_view what, const Error& error) {
  fmt::print(stderr, "umdev-bench: {}: {} {}\n", what, errno_name(error.code), error.text);
  std::_Exit(EXIT_FAILURE);
}

std::vector<int> processors() {
  static const std::vector<int> all = find_processors();
  return all;
}

std::vector<Placement> placements() {
  const std::vector<int> all = processors();
  std::vector<Placement> result{{"on one processor", all.back(), all.back()}};
  if (all.size() > 1) result.push_back({"on two processors", all.back(), all.front()});
  return result;
}

Placement widest_placement() {
  return placements().back();
}

Pin::Pin(int processor) {
  if (::sched_getaffinity(0, sizeof before_, &before_) != 0) give_up("sched_getaffinity");
  const cpu_set_t set = processor < 0 ? before_ : set_of(processor);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) give_up("sched_setaffinity");
}

Pin::~Pin() {
  (void)::sched_setaffinity(0, sizeof before_, &before_);
}

void place(std::thread& thread, int processor) {
  const cpu_set_t set = set_of(processor);
  if (::pthread_setaffinity_np(thread.native_handle(), sizeof set, &set) != 0) give_up("a thread's affinity");
}

void place(os::WorkerPool& workers, int processor) {
  for (std::size_t i = 0; i < workers.size(); ++i) {
    std::promise<void> placed;
    workers.at(i).post([&placed, processor] {
      const cpu_set_t set = set_of(processor);
      if (::sched_setaffinity(0, sizeof set, &set) != 0) give_up("sched_setaffinity");
      placed.set_value();
    });
    placed.get_future().wait();
  }
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(file >> total >> resident)) give_up("/proc/self/statm");
  return resident * os::page_size();
}

double processor_nanoseconds() {
  const rusage used = usage();
  return to_nanoseconds(used.ru_utime) + to_nanoseconds(used.ru_stime);
}

long voluntary_switches() {
  return usage().ru_nvcsw;
}

// In memory, as /run is where the sockets are in real life: a file system on a disk looks for a free inode
// for longer than all the rest takes.
ScratchDirectory::ScratchDirectory() {
  for (const std::filesystem::path& place :
       {std::filesystem::path("/dev/shm"), std::filesystem::temp_directory_path()}) {
    path_ = (place / "umdev-bench-XXXXXX").string();
    if (::mkdtemp(path_.data()) != nullptr) return;
  }
  give_up("a temporary directory");
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace umdev::bench
