// What the framework and its devices are lent by whoever runs them: time, timers, somewhere to run work, a
// log. A test lends a manual clock and an inline executor; the daemon lends epoll loops. Nothing reads a
// clock or starts a thread on its own.
#pragma once

#include <chrono>
#include <memory>

#include "umdev/support/inline_function.h"
#include "umdev/support/log.h"

namespace umdev {

using Duration = std::chrono::nanoseconds;
// Monotonic, from an arbitrary start.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

using Work = InlineFunction<void(), 64>;

// Runs work that is posted to it, later, in no promised order unless the implementation says so. post() is
// safe from any thread and never runs the work before it returns (except the test's inline executor, which
// says so).
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(Work work) = 0;
};

// A pending timer. Destroying it cancels: work that has not started will not start. Work that has already
// started on another thread may still be running, so it must own whatever it touches.
class Timer {
 public:
  class Pending {
   public:
    virtual ~Pending() = default;  // cancels
  };
  Timer() = default;
  explicit Timer(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}
  void cancel() { pending_.reset(); }
  explicit operator bool() const { return pending_ != nullptr; }

 private:
  std::unique_ptr<Pending> pending_;
};

class Clock {
 public:
  virtual ~Clock() = default;
  // Any thread.
  virtual Time now() const = 0;
  // Runs `work` once, not before `when`. Any thread.
  [[nodiscard]] virtual Timer at(Time when, Work work) = 0;
  [[nodiscard]] Timer after(Duration delay, Work work) { return at(now() + delay, std::move(work)); }
};

// The world of one device, and of the core itself. All members are safe from any thread.
class DeviceHost {
 public:
  virtual ~DeviceHost() = default;
  virtual Clock& clock() = 0;
  virtual Executor& executor() = 0;
  virtual Log& log() = 0;
  void post(Work work) { executor().post(std::move(work)); }
};

}  // namespace umdev
