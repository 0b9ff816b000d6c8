#include "umdev/os/thread.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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
