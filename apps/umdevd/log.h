// The daemon's log: lines on stderr, with time and level.
#pragma once

#include <memory>
#include <string_view>

#include "umdev/support/log.h"

namespace umdev::daemon {

// Any thread.
class StderrLog final : public Log {
 public:
  explicit StderrLog(LogLevel least);
  ~StderrLog() override;

  void write(LogLevel level, std::string_view text) override;

 private:
  struct Sink;
  const std::unique_ptr<Sink> sink_;
};

}  // namespace umdev::daemon
