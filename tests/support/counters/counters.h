// What a piece of code costs in numbers that are the same on every machine. A program that is linked with
// umdev_test_counters counts, from its start on and on all threads: its operator new, pthread_mutex_lock()
// and the system calls of the message path pass here.
#pragma once

#include <cstdint>

#include "umdev/support/sanitizers.h"

namespace umdev::test {

// Not in builds with a sanitizer, which have ways of their own for all of these: there everything is 0.
inline constexpr bool counters_count = !has_own_heap;

struct Counts {
  std::uint64_t allocations = 0;
  std::uint64_t locks = 0;
  std::uint64_t system_calls = 0;

  friend Counts operator-(const Counts& left, const Counts& right) {
    return {.allocations = left.allocations - right.allocations,
            .locks = left.locks - right.locks,
            .system_calls = left.system_calls - right.system_calls};
  }
};

// Up to now.
Counts counts_of_this_thread();
Counts counts_of_other_threads();

}  // namespace umdev::test
