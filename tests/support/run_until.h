// Waiting for what ends on another thread, which may wait for work that this one runs.
#pragma once

#include <chrono>
#include <thread>

#include "tests/support/core_world.h"

namespace umdev::test {

// Runs the world's work until `condition` holds; false after so long that something must be wrong.
template <typename Condition>
bool run_until(CoreWorld& world, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    world.host.run();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

}  // namespace umdev::test
