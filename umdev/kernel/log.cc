// printk: a line of the module becomes a line of the log.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"
#include "umdev/os/crash_guard.h"

namespace umdev::kernel {
namespace {

constexpr std::size_t line_max = 1024;  // the kernel's PRINTKRB_RECORD_MAX

LogLevel level_of(char digit) {
  switch (digit) {
    case '0':
    case '1':
    case '2':
    case '3':
      return LogLevel::error;
    case '4':
      return LogLevel::warning;
    case '7':
      return LogLevel::debug;
    default:
      return LogLevel::info;
  }
}

int print_line(::module* owner, const std::string& prefix, const char* format, va_list arguments) {
  const auto& module = *static_cast<const Module*>(owner->umdev);
  LogLevel level = LogLevel::info;
  if (format[0] == '\001' && format[1] != '\0') {
    level = level_of(format[1]);
    format += 2;
  }
  char text[line_max];
  const int length = std::vsnprintf(text, sizeof(text), format, arguments);
  if (length < 0) return 0;
  std::string line = std::string(module.name()) + ": " + prefix + text;
  while (line.ends_with('\n')) line.pop_back();
  module.world().log().write(level, line);
  return length;
}

}  // namespace

int print(::module* owner, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = print_line(owner, "", format, arguments);
  va_end(arguments);
  return length;
}

int print_of_device(::module* owner, const ::device* dev, const char* format, ...) {
  const char* const name = dev == nullptr ? "(null)" : dev->kobj.name;
  va_list arguments;
  va_start(arguments, format);
  const int length = print_line(owner, std::string(name != nullptr ? name : "?") + ": ", format, arguments);
  va_end(arguments);
  return length;
}

void warn(::module* owner, const char* file, int line, const char* what) {
  print(owner, "\0014WARNING at %s:%d: %s", file, line, what);
}

void bug(::module* owner, const char* file, int line) {
  print(owner, "\0013BUG at %s:%d", file, line);
  os::CrashGuard::leave();  // the call, as a kernel ends the task
  std::abort();
}

}  // namespace umdev::kernel
