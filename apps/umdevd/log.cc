#include "apps/umdevd/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace umdev::daemon {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

struct StderrLog::Sink {
  spdlog::logger logger{"umdevd", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

StderrLog::StderrLog(LogLevel least) : sink_(std::make_unique<Sink>()) {
  sink_->logger.set_level(to_spdlog(least));
  sink_->logger.set_pattern("%Y-%m-%d %H:%M:%S.%e %n[%P] %l: %v");
  sink_->logger.flush_on(spdlog::level::debug);
  // Where stderr has gone there is nobody left to complain to.
  sink_->logger.set_error_handler([](const std::string&) {});
}

StderrLog::~StderrLog() = default;

void StderrLog::write(LogLevel level, std::string_view text) {
  sink_->logger.log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace umdev::daemon
