// What the program does to itself and asks of the system.
#pragma once

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "umdev/os/worker_pool.h"
#include "umdev/support/error.h"

namespace umdev::bench {

// Ends the program: a benchmark whose world does not work has nothing to say.
[[noreturn]] void give_up(std::string_view what, const Error& error = Error{.code = errno, .text = {}});

template <typename T>
T must(Result<T> result, std::string_view what) {
  if (!result) give_up(what, result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The processors that this program may run on.
std::vector<int> processors();

// Where the two ends of a conversation run; -1 is anywhere.
struct Placement {
  std::string name;
  int near = -1;  // the thread that measures
  int far = -1;   // the one that serves it
};
// Both on one processor, and on two where there are two.
std::vector<Placement> placements();
// The last of them: the one with most processors.
Placement widest_placement();

// Keeps the calling thread on one processor while it lives; -1 changes nothing.
class Pin {
 public:
  explicit Pin(int processor);
  ~Pin();
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  cpu_set_t before_{};
};

// From now on; -1 allows all.
void place(std::thread& thread, int processor);
// Returns when they are there.
void place(os::WorkerPool& workers, int processor);

// Memory of this process that is in RAM; processor time it has used; how often it waited. From /proc and
// getrusage().
std::uint64_t resident_bytes();
double processor_nanoseconds();
long voluntary_switches();

// A directory of its own, removed with everything in it at the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace umdev::bench
