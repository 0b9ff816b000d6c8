#include "umdev/os/interruption.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <optional>

#include "umdev/os/thread.h"
#include "umdev/os/unique_fd.h"

namespace umdev::os {
namespace {

using Handler = void (*)(int);

Handler handler_now() {
  struct sigaction action{};
  EXPECT_EQ(::sigaction(SIGURG, nullptr, &action), 0);
  return action.sa_handler;
}

std::optional<Interruption> claimed() {
  auto interruption = Interruption::claim();
  EXPECT_TRUE(interruption);
  return std::move(*interruption);
}

TEST(Interruption, ends_a_system_call_that_waits) {
  const auto interruption = claimed();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  std::atomic<int> error = 0;
  auto thread = start_thread("waits", [&] {
    Interruption::allow();
    char byte = 0;
    if (::read(reading.get(), &byte, 1) < 0) error = errno;
  });
  ASSERT_TRUE(thread);
  while (error == 0) {
    Interruption::send(thread->native_handle());
    std::this_thread::yield();
  }
  thread->join();
  EXPECT_EQ(error, EINTR);
}

TEST(Interruption, the_handler_stays_for_the_last_who_has_one_and_is_then_as_before) {
  auto first = claimed();
  auto second = claimed();
  first.reset();
  EXPECT_NE(handler_now(), SIG_DFL);
  second.reset();
  EXPECT_EQ(handler_now(), SIG_DFL);
}

TEST(Interruption, who_has_moved_it_away_has_none) {
  auto first = claimed();
  {
    const Interruption second = std::move(*first);
    first.reset();
    EXPECT_NE(handler_now(), SIG_DFL);
  }
  EXPECT_EQ(handler_now(), SIG_DFL);
}

TEST(Interruption, is_there_again_when_somebody_has_put_the_signal_back) {
  const auto first = claimed();
  ::signal(SIGURG, SIG_DFL);
  const auto second = claimed();
  EXPECT_NE(handler_now(), SIG_DFL);
}

TEST(Interruption, a_handler_of_the_process_is_left_alone) {
  struct sigaction own{};
  own.sa_handler = [](int) {};
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGURG, &own, &before), 0);
  EXPECT_EQ(Interruption::claim().error().code, EBUSY);
  EXPECT_EQ(handler_now(), own.sa_handler);
  ASSERT_EQ(::sigaction(SIGURG, &before, nullptr), 0);
}

}  // namespace
}  // namespace umdev::os
