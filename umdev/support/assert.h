// Assertions for our own mistakes, on in every build. Nothing that a client sends may reach one: a client's
// mistake is an Error. A driver's mistake that would break the framework (completing twice, unregistering
// inside a callback) does.
#pragma once

#include <source_location>
#include <string_view>

namespace umdev {

// Prints the place and the reason on stderr and aborts.
[[noreturn]] void assertion_failed(std::string_view condition, std::string_view why,
                                   std::source_location where = std::source_location::current());

}  // namespace umdev

#define UMDEV_ASSERT(condition, why)              \
  do {                                            \
    if (!(condition)) [[unlikely]]                \
      ::umdev::assertion_failed(#condition, why); \
  } while (false)
