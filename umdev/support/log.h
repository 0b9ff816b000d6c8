// The log, as the rest of the code sees it: a narrow interface. spdlog stands behind it in the programs, a
// recorder in the tests.
#pragma once

#include <cstdint>
#include <string_view>

namespace umdev {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

class Log {
 public:
  virtual ~Log() = default;
  // Any thread. `text` is one line without its newline.
  virtual void write(LogLevel level, std::string_view text) = 0;

  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void warning(std::string_view text) { write(LogLevel::warning, text); }
  void error(std::string_view text) { write(LogLevel::error, text); }
};

// Throws everything away.
class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view) override {}
};

}  // namespace umdev
