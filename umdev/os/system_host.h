// The DeviceHost of a running program.
#pragma once

#include "umdev/support/host.h"

namespace umdev::os {

// Lends out a clock, an executor and a log that live longer than it. With an EventLoop as clock, time is
// CLOCK_MONOTONIC and timers run on that loop's thread.
class SystemHost final : public DeviceHost {
 public:
  SystemHost(Clock& clock, Executor& executor, Log& log) : clock_(clock), executor_(executor), log_(log) {}

  Clock& clock() override { return clock_; }
  Executor& executor() override { return executor_; }
  Log& log() override { return log_; }

 private:
  Clock& clock_;
  Executor& executor_;
  Log& log_;
};

}  // namespace umdev::os
