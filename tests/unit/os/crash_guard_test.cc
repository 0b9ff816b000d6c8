#include "umdev/os/crash_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "umdev/support/sanitizers.h"

// Linker's names for the program's own code.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" const char __executable_start;
extern "C" const char etext;

namespace umdev::os {
namespace {

GuardedCode this_program() {
  return {.begin = reinterpret_cast<std::uintptr_t>(&__executable_start),
          .end = reinterpret_cast<std::uintptr_t>(&etext),
          .name = "sample"};
}

// So that the compiler does not know what is wrong with it.
template <typename T>
T hidden(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

// Reads what nobody may read, without asking a sanitizer.
__attribute__((no_sanitize("address", "undefined"), noinline)) void read_null(void*) {
  *hidden(static_cast<volatile int*>(nullptr));
}
__attribute__((no_sanitize("address", "undefined"), noinline)) void call_null(void*) {
  hidden(static_cast<void (*)()>(nullptr))();
}
void trap(void*) {
  __builtin_trap();
}

class CrashGuardTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CrashGuard::install()); }
  const GuardedCode code_ = this_program();
};

TEST_F(CrashGuardTest, what_comes_back_is_no_crash) {
  int calls = 0;
  EXPECT_FALSE(CrashGuard::call(code_, "read", [](void* count) { ++*static_cast<int*>(count); }, &calls));
  EXPECT_EQ(calls, 1);
}

TEST_F(CrashGuardTest, an_access_to_a_null_pointer_ends_the_call) {
  const auto crash = CrashGuard::call(code_, "read", read_null, nullptr);
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->signal, SIGSEGV);
  EXPECT_EQ(crash->address, 0U);
  EXPECT_GE(crash->instruction, code_.begin);
  EXPECT_LT(crash->instruction, code_.end);
}

TEST_F(CrashGuardTest, a_call_of_a_null_pointer_ends_the_call) {
  const auto crash = CrashGuard::call(code_, "read", call_null, nullptr);
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->instruction, 0U);
}

TEST_F(CrashGuardTest, a_trap_ends_the_call) {
  const auto crash = CrashGuard::call(code_, "read", trap, nullptr);
  ASSERT_TRUE(crash);
  EXPECT_EQ(crash->signal, SIGILL);
}

TEST_F(CrashGuardTest, it_may_crash_again_and_on_every_thread) {
#if defined(UMDEV_THREAD_SANITIZER)
  GTEST_SKIP() << "ThreadSanitizer's own handler blocks all signals, and whoever jumps out leaves them so";
#endif
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round)
        EXPECT_TRUE(CrashGuard::call(code_, "read", read_null, nullptr));
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(CrashGuardTest, of_nested_calls_the_inner_one_ends) {
  struct Seen {
    const GuardedCode& code;
    bool inner_crashed = false;
    bool went_on = false;
  } seen{.code = code_};
  const auto outer = CrashGuard::call(
      code_, "write",
      [](void* raw) {
        auto& inner = *static_cast<Seen*>(raw);
        inner.inner_crashed = CrashGuard::call(inner.code, "read", read_null, nullptr).has_value();
        inner.went_on = true;
      },
      &seen);
  EXPECT_FALSE(outer);
  EXPECT_TRUE(seen.inner_crashed);
  EXPECT_TRUE(seen.went_on);
}

TEST_F(CrashGuardTest, calls_can_be_put_aside_and_taken_up_again) {
  const auto crash = CrashGuard::call(
      code_, "read",
      [](void*) {
        auto* calls = CrashGuard::exchange(nullptr);
        EXPECT_NE(calls, nullptr);
        EXPECT_EQ(CrashGuard::exchange(calls), nullptr);
        read_null(nullptr);
      },
      nullptr);
  EXPECT_TRUE(crash);
  EXPECT_EQ(CrashGuard::exchange(nullptr), nullptr);
}

TEST_F(CrashGuardTest, a_crash_of_other_code_ends_the_process_and_says_in_whose_service) {
  const GuardedCode elsewhere{.begin = 1, .end = 2, .name = "sample"};
  EXPECT_DEATH(static_cast<void>(CrashGuard::call(elsewhere, "reading region 0", read_null, nullptr)),
               "module sample: SIGSEGV in what it called, while reading region 0");
}

TEST_F(CrashGuardTest, outside_of_a_call_it_is_a_crash_as_ever) {
  EXPECT_DEATH(read_null(nullptr), "");
}

TEST_F(CrashGuardTest, a_signal_that_was_sent_is_nobodys_crash) {
  EXPECT_DEATH(static_cast<void>(CrashGuard::call(
                   code_, "read", [](void*) { static_cast<void>(std::raise(SIGSEGV)); }, nullptr)),
               "");
}

}  // namespace
}  // namespace umdev::os
