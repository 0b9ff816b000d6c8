// The world of a unit test: time stands still until the test moves it, work runs when the test says so, the
// log is kept.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "umdev/support/host.h"
#include "umdev/support/mutex.h"

namespace umdev::test {

// Time that only advance() moves. Timers run on the thread that advances, in the order of their times.
class ManualClock final : public Clock {
 public:
  Time now() const override;
  Timer at(Time when, Work work) override;

  void advance(Duration by);
  std::size_t pending_timers() const;

 private:
  struct State;
  std::shared_ptr<State> state_ = make_state();
  static std::shared_ptr<State> make_state();
};

// Keeps posted work until run() is called.
class QueueExecutor final : public Executor {
 public:
  void post(Work work) override;
  // Runs what is queued, and what that queues, until nothing is left; how many pieces ran.
  std::size_t run();

 private:
  Mutex mutex_;
  std::deque<Work> queue_ UMDEV_GUARDED_BY(mutex_);
};

// Runs posted work at once, on the thread that posts it. (Breaks post()'s promise on purpose: for simple
// tests.)
class InlineExecutor final : public Executor {
 public:
  void post(Work work) override { work(); }
};

class RecordingLog final : public Log {
 public:
  void write(LogLevel level, std::string_view text) override;
  std::size_t count(LogLevel level) const;
  bool contains(std::string_view text) const;
  void clear();

 private:
  mutable Mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_ UMDEV_GUARDED_BY(mutex_);
};

class TestHost final : public DeviceHost {
 public:
  ManualClock& clock() override { return clock_; }
  QueueExecutor& executor() override { return executor_; }
  RecordingLog& log() override { return log_; }
  // Moves time and runs all work that this makes ready.
  void advance(Duration by) {
    executor_.run();
    clock_.advance(by);
    executor_.run();
  }
  std::size_t run() { return executor_.run(); }

 private:
  ManualClock clock_;
  QueueExecutor executor_;
  RecordingLog log_;
};

}  // namespace umdev::test
