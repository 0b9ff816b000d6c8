#include "umdev/support/assert.h"

#include <cstdio>
#include <cstdlib>

namespace umdev {

void assertion_failed(std::string_view condition, std::string_view why, std::source_location where) {
  // house-rules: allow printf: the program is about to end, and no log can be trusted any more
  std::fprintf(stderr, "umdev: %s:%u: %s: assertion failed: %.*s (%.*s)\n", where.file_name(), where.line(),
               where.function_name(), static_cast<int>(why.size()), why.data(),
               static_cast<int>(condition.size()), condition.data());
  std::abort();
}

}  // namespace umdev
