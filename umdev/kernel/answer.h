// What callbacks answer, as Results: a negative answer is an errno.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "umdev/support/error.h"

namespace umdev::kernel {

inline Result<> to_result(long answer, std::string_view what) {
  if (answer >= 0) return {};
  return fail(static_cast<int>(-answer), what);
}

// Of a read or a write of `most` bytes.
inline Result<std::size_t> to_count(long answer, std::size_t most, std::string_view what) {
  if (answer < 0) return fail(static_cast<int>(-answer), what);
  return std::min(static_cast<std::size_t>(answer), most);
}

}  // namespace umdev::kernel
