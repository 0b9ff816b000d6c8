// Looking for work a little before sleeping.
#pragma once

#include <algorithm>

#include "umdev/support/host.h"

namespace umdev::os {

// How long a thread looks for something to do before it sleeps. To be woken costs some microseconds, and tens
// of them where a processor has to be woken too; to look costs a processor that nobody else needs.
//
// Adapts. A look that finds nothing is followed by 1, 2, 4, ... at most 64 waits that sleep at once, one that
// finds something by more looks. So a thread whose clients are slow wastes a 65th of the limit at each wait,
// and one that has nothing to do at all sleeps after one look. Not thread-safe.
class SpinWindow {
 public:
  // Zero, as it is at first: never looks.
  void set_limit(Duration limit) { limit_ = limit; }

  // How long to look this time; zero is not at all. Whoever looked says what came of it.
  Duration next() {
    if (to_skip_ == 0) return limit_;
    --to_skip_;
    return Duration::zero();
  }
  void found(bool something) {
    pause_ = something ? 0 : std::clamp(2 * pause_, 1U, pause_max);
    to_skip_ = pause_;
  }

 private:
  static constexpr unsigned pause_max = 64;

  Duration limit_ = Duration::zero();
  unsigned pause_ = 0;
  unsigned to_skip_ = 0;
};

// The calling thread's: an EventLoop that runs on it looks so long.
inline SpinWindow& spin_of_this_thread() {
  static constinit thread_local SpinWindow window;
  return window;
}

}  // namespace umdev::os
