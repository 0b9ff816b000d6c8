// Where management runs: work that may take long, or hang.
#pragma once

#include <cstddef>
#include <memory>

#include "umdev/support/error.h"
#include "umdev/support/host.h"

namespace umdev::os {

struct ThreadPoolLimits {
  // Threads that stay when there is nothing to do; at least 1.
  std::size_t kept = 1;
  // Threads that there are at most. When all of them are stuck, posted work waits.
  std::size_t most = 64;
  // After how long without work a thread beyond `kept` ends.
  Duration idle = std::chrono::seconds(10);
};

// An Executor that starts posted work in the order in which it came, each piece on a thread of its own while
// it may have more: nobody can tell whether a thread that is busy is stuck, so none waits for another.
// Threads with nothing to do sleep.
class ThreadPool final : public Executor {
 public:
  // `name` as start_thread() takes it. EINVAL for limits that make no sense; EAGAIN when not even the kept
  // threads can be started.
  static Result<std::unique_ptr<ThreadPool>> create(const char* name, ThreadPoolLimits limits = {});

  // Destroys what has not started (completions end with ECANCELED) and waits for what runs, however long
  // that takes. Not from inside posted work.
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Any thread. When the system has no thread left for it, the work waits for one of the present ones.
  void post(Work work) override;

  // For the end of a process whose driver hangs: destroys what has not started, waits until `deadline` (from
  // now), and gives up the threads that still run then; returns how many those are. If there are any, the
  // process must end without destroying what their work may touch (_exit()); the destructor no longer waits
  // for them. Posted work no longer runs.
  std::size_t abandon_stuck(Duration deadline);

  // Threads there are now, busy or not. Any thread.
  std::size_t count_threads() const;

 private:
  struct State;
  explicit ThreadPool(std::shared_ptr<State> state) : state_(std::move(state)) {}

  static void run_thread(State& state);
  bool discard_pending();

  const std::shared_ptr<State> state_;  // shared with the threads, which may be abandoned
};

}  // namespace umdev::os
