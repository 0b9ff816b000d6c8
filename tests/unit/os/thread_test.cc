#include "umdev/os/thread.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

namespace umdev::os {
namespace {

constexpr int first_of_all = -20;

int nice_of_this_thread() {
  return ::getpriority(PRIO_PROCESS, 0);
}

// By a thread that ends with it.
bool system_allows_a_step() {
  bool allowed = false;
  std::thread([&] { allowed = ::setpriority(PRIO_PROCESS, 0, nice_of_this_thread() - 1) == 0; }).join();
  return allowed;
}

TEST(Thread, every_living_one_has_a_mark_of_its_own) {
  const void* const mine = this_thread_mark();
  const void* other = nullptr;
  std::thread([&] { other = this_thread_mark(); }).join();
  EXPECT_NE(mine, nullptr);
  EXPECT_NE(mine, other);
  EXPECT_EQ(mine, this_thread_mark());
}

TEST(Thread, who_waits_for_another_lets_it_run) {
  std::atomic<bool> done = false;
  std::thread other([&] { done = true; });
  unsigned times = 0;
  while (!done) let_others_run(times++);
  other.join();
  for (times = 60; times != 70; ++times) let_others_run(times);
}

// What it is for: one thread stores and then looks, without a fence between, as the other has one for both.
TEST(Thread, of_two_that_store_and_then_look_one_sees_the_other) {
  if (!can_fence_other_threads()) GTEST_SKIP() << "membarrier() is not allowed here";
  constexpr int rounds = 2000;
  std::atomic<int> near = 0;
  std::atomic<int> far = 0;
  std::atomic<int> near_saw = 0;
  std::atomic<int> turn = 0;
  std::thread cheap([&] {
    for (int round = 1; round <= rounds; ++round) {
      while (turn.load(std::memory_order_acquire) != round) std::this_thread::yield();
      near.store(round, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      near_saw.store(far.load(std::memory_order_relaxed), std::memory_order_relaxed);
      turn.store(-round, std::memory_order_release);
    }
  });
  for (int round = 1; round <= rounds; ++round) {
    turn.store(round, std::memory_order_release);
    far.store(round, std::memory_order_relaxed);
    fence_other_threads();
    const int far_saw = near.load(std::memory_order_relaxed);
    while (turn.load(std::memory_order_acquire) != -round) std::this_thread::yield();
    ASSERT_TRUE(far_saw == round || near_saw.load(std::memory_order_relaxed) == round) << round;
  }
  cheap.join();
}

TEST(Thread, one_that_is_preferred_is_one_step_before_the_others) {
  const int others = nice_of_this_thread();
  int before = 0;
  int after = 0;
  bool allowed = false;
  auto thread = start_thread("preferred", [&] {
    before = nice_of_this_thread();
    allowed = prefer_this_thread();
    after = nice_of_this_thread();
  });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(before, others);
  EXPECT_EQ(nice_of_this_thread(), others);
  EXPECT_EQ(allowed, system_allows_a_step());
  EXPECT_EQ(after, allowed ? std::max(others - 1, first_of_all) : others);
}

// The calling thread's only.
void give_up_the_right_to_be_preferred() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  ASSERT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
  sets[CAP_TO_INDEX(CAP_SYS_NICE)].effective &= ~CAP_TO_MASK(CAP_SYS_NICE);
  ASSERT_EQ(::syscall(SYS_capset, &header, sets.data()), 0);
}

TEST(Thread, one_that_may_not_be_preferred_stays_as_it_is) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NICE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NICE, &none), 0);
  const int others = nice_of_this_thread();
  auto thread = start_thread("not preferred", [&] {
    give_up_the_right_to_be_preferred();
    EXPECT_FALSE(prefer_this_thread());
    EXPECT_EQ(nice_of_this_thread(), others);
  });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(::setrlimit(RLIMIT_NICE, &before), 0);
}

}  // namespace
}  // namespace umdev::os
