// From the C library's errno to a Result.
#pragma once

#include <cerrno>

#include "umdev/support/error.h"

namespace umdev::os {

// The Error of the system call that has just failed. `text` must have static lifetime.
inline std::unexpected<Error> fail_errno(std::string_view text,
                                         std::source_location where = std::source_location::current()) {
  return fail(errno, text, where);
}

// Repeats a system call while a signal interrupts it. Not for close().
template <typename Call>
auto retry_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

}  // namespace umdev::os
