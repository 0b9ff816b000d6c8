#include "umdev/os/spin_window.h"

#include <gtest/gtest.h>

#include <thread>

namespace umdev::os {
namespace {

using namespace std::chrono_literals;

// Waits until the next look, and counts them.
int waits_before_a_look(SpinWindow& window) {
  int waits = 0;
  while (window.next() == Duration::zero()) ++waits;
  return waits;
}

TEST(SpinWindow, is_off_at_first) {
  SpinWindow window;
  for (int wait = 0; wait < 100; ++wait) EXPECT_EQ(window.next(), Duration::zero());
}

TEST(SpinWindow, looks_every_time_while_it_finds_something) {
  SpinWindow window;
  window.set_limit(50us);
  for (int wait = 0; wait < 100; ++wait) {
    EXPECT_EQ(window.next(), 50us);
    window.found(true);
  }
}

TEST(SpinWindow, looks_in_vain_become_rare) {
  SpinWindow window;
  window.set_limit(50us);
  for (const int waits : {0, 1, 2, 4, 8, 16, 32, 64, 64, 64}) {
    EXPECT_EQ(waits_before_a_look(window), waits);
    window.found(false);
  }
}

TEST(SpinWindow, one_find_brings_the_looks_back) {
  SpinWindow window;
  window.set_limit(50us);
  for (int look = 0; look < 10; ++look) {
    waits_before_a_look(window);
    window.found(false);
  }
  waits_before_a_look(window);
  window.found(true);
  EXPECT_EQ(window.next(), 50us);
}

TEST(SpinWindow, belongs_to_its_thread) {
  spin_of_this_thread().set_limit(50us);
  Duration elsewhere = 1us;
  std::thread([&] { elsewhere = spin_of_this_thread().next(); }).join();
  EXPECT_EQ(spin_of_this_thread().next(), 50us);
  EXPECT_EQ(elsewhere, Duration::zero());
  spin_of_this_thread() = {};
}

}  // namespace
}  // namespace umdev::os
