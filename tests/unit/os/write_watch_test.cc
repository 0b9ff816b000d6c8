#include "umdev/os/write_watch.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/event_fd.h"
#include "umdev/support/sanitizers.h"

namespace umdev::os {
namespace {

constexpr std::uint64_t max_count = UINT64_MAX - 1;

std::optional<WriteWatch> started() {
  auto watch = WriteWatch::start();
  EXPECT_TRUE(watch) << watch.error().text;
  if (!watch) return std::nullopt;
  return std::move(*watch);
}

UniqueFd event_fd(int flags) {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC | flags));
}

void fill(int fd) {
  ASSERT_EQ(::write(fd, &max_count, sizeof max_count), 8);
}

std::uint64_t count_of(int fd) {
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

// Signals until one is a write(): a watch that rests wakes after some.
WriteWatch::Outcome add_one_watched(int fd) {
  for (;;)
    if (const auto outcome = WriteWatch::add_one(fd); outcome != WriteWatch::Outcome::unwatched)
      return outcome;
}

TEST(WriteWatch, nothing_is_written_while_nobody_watches) {
  const UniqueFd fd = event_fd(EFD_NONBLOCK);
  for (int round = 0; round < 100; ++round)
    EXPECT_EQ(WriteWatch::add_one(fd.get()), WriteWatch::Outcome::unwatched);
  EXPECT_EQ(count_of(fd.get()), 0U);
}

TEST(WriteWatch, every_write_that_is_done_counts) {
  const auto watch = started();
  const UniqueFd fd = event_fd(0);
  std::uint64_t done = 0;
  for (int round = 0; round < 1000; ++round)
    done += WriteWatch::add_one(fd.get()) == WriteWatch::Outcome::done ? 1 : 0;
  EXPECT_GT(done, 0U);
  EXPECT_EQ(count_of(fd.get()), done);
}

TEST(WriteWatch, a_few_signals_do_not_wake_it) {
  const auto watch = started();
  const UniqueFd fd = event_fd(0);
  const std::uint64_t looks = WriteWatch::count_looks();
  std::thread([&] {
    for (int round = 0; round < 15; ++round)
      EXPECT_EQ(WriteWatch::add_one(fd.get()), WriteWatch::Outcome::unwatched);
  }).join();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(WriteWatch::count_looks(), looks);
}

TEST(WriteWatch, rests_when_nobody_writes_any_more) {
  const auto watch = started();
  const UniqueFd fd = event_fd(0);
  add_one_watched(fd.get());
  while (WriteWatch::add_one(fd.get()) == WriteWatch::Outcome::done)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const std::uint64_t looks = WriteWatch::count_looks() + 1;  // it looks once more when it has gone to rest
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(WriteWatch::count_looks(), looks);
}

TEST(WriteWatch, a_full_one_that_does_not_block_is_done) {
  const auto watch = started();
  const UniqueFd fd = event_fd(EFD_NONBLOCK);
  fill(fd.get());
  EXPECT_EQ(add_one_watched(fd.get()), WriteWatch::Outcome::done);
  EXPECT_EQ(count_of(fd.get()), max_count);
}

TEST(WriteWatch, a_write_that_waits_is_interrupted) {
  const auto watch = started();
  const UniqueFd fd = event_fd(0);
  const std::uint64_t interrupted = WriteWatch::count_interrupted();
  fill(fd.get());
  EXPECT_EQ(add_one_watched(fd.get()), WriteWatch::Outcome::interrupted);
  EXPECT_EQ(WriteWatch::count_interrupted(), interrupted + 1);
  EXPECT_EQ(count_of(fd.get()), max_count);
}

TEST(WriteWatch, interrupts_every_thread_that_waits_and_only_those) {
  const auto watch = started();
  const UniqueFd full = event_fd(0);
  const UniqueFd good = event_fd(0);
  fill(full.get());
  std::atomic<unsigned> interrupted = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&] {
      if (add_one_watched(full.get()) == WriteWatch::Outcome::interrupted) ++interrupted;
    });
  std::thread busy([&] {
    while (!done) {
      EXPECT_NE(WriteWatch::add_one(good.get()), WriteWatch::Outcome::interrupted);
    }
  });
  for (auto& thread : threads) thread.join();
  done = true;
  busy.join();
  EXPECT_EQ(interrupted, 4U);
}

TEST(WriteWatch, a_thread_that_had_the_signal_blocked_is_interrupted_too) {
  const auto watch = started();
  const UniqueFd fd = event_fd(0);
  fill(fd.get());
  std::thread([&] {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    EXPECT_EQ(add_one_watched(fd.get()), WriteWatch::Outcome::interrupted);
  }).join();
}

TEST(WriteWatch, ends_while_somebody_waits_in_a_write) {
  auto watch = started();
  const UniqueFd fd = event_fd(0);
  fill(fd.get());
  std::atomic<bool> writes = false;
  std::thread writer([&] {
    auto outcome = WriteWatch::Outcome::unwatched;
    while (outcome == WriteWatch::Outcome::unwatched) {
      outcome = WriteWatch::add_one(fd.get());
      writes = true;
    }
    EXPECT_EQ(outcome, WriteWatch::Outcome::interrupted);
  });
  while (!writes) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  watch.reset();
  // A writer that came too late for this watch is interrupted by the next.
  const auto next = started();
  writer.join();
}

TEST(WriteWatch, there_is_one_at_a_time) {
  auto watch = started();
  EXPECT_EQ(WriteWatch::start().error().code, EBUSY);
  watch.reset();
  EXPECT_TRUE(WriteWatch::start());
}

TEST(WriteWatch, leaves_a_handler_of_the_process_alone) {
  struct sigaction own{};
  own.sa_handler = [](int) {};
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGURG, &own, &before), 0);
  EXPECT_EQ(WriteWatch::start().error().code, EBUSY);
  struct sigaction after{};
  ASSERT_EQ(::sigaction(SIGURG, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, own.sa_handler);
}

TEST(WriteWatch, the_signal_is_as_before_when_it_has_ended) {
  {
    const auto watch = started();
  }
  struct sigaction after{};
  ASSERT_EQ(::sigaction(SIGURG, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

struct TrustedEventFd : testing::Test {
  EventFd adopted(int flags) {
    auto event = EventFd::adopt(event_fd(flags), &trust);
    EXPECT_TRUE(event);
    return std::move(*event);
  }

  std::optional<WriteWatch> watch = started();
  EventFdTrust trust;
};

TEST_F(TrustedEventFd, no_signal_is_lost_between_the_two_ways) {
  const EventFd event = adopted(0);
  for (int round = 0; round < 10'000; ++round) event.signal();
  EXPECT_EQ(event.take(), 10'000U);
  EXPECT_TRUE(trust.holds());
}

TEST_F(TrustedEventFd, a_full_one_costs_its_client_the_trust) {
  const std::array events{adopted(0), adopted(0)};
  fill(events[0].get());
  while (trust.holds()) events[0].signal();
  const std::uint64_t interrupted = WriteWatch::count_interrupted();
  fill(events[1].get());
  for (int round = 0; round < 1000; ++round)
    for (const EventFd& event : events) event.signal();
  EXPECT_EQ(WriteWatch::count_interrupted(), interrupted);
  EXPECT_GE(events[1].take(), max_count);
  events[1].signal();
  EXPECT_EQ(events[1].take(), 1U);
}

TEST_F(TrustedEventFd, a_full_one_that_does_not_block_keeps_the_trust) {
  const EventFd event = adopted(EFD_NONBLOCK);
  fill(event.get());
  for (int round = 0; round < 1000; ++round) event.signal();
  EXPECT_TRUE(trust.holds());
  EXPECT_GE(event.take(), max_count);  // the kernel's own signals fill the last one
}

// A client that clears O_NONBLOCK and fills the counter whenever it can, while another is signalled.
TEST_F(TrustedEventFd, a_hostile_client_harms_its_neighbour_once_at_most) {
  if (has_thread_sanitizer) GTEST_SKIP() << "the other way is poll() and write() under ThreadSanitizer";
  const EventFd hostile = adopted(EFD_NONBLOCK);
  EventFdTrust its_own;
  auto neighbour = EventFd::adopt(event_fd(0), &its_own);
  ASSERT_TRUE(neighbour);
  const std::uint64_t interrupted = WriteWatch::count_interrupted();
  std::atomic<bool> done = false;
  std::thread client([&] {
    const int flags = ::fcntl(hostile.get(), F_GETFL);
    while (!done) {
      hostile.take();
      ::fcntl(hostile.get(), F_SETFL, flags | O_NONBLOCK);  // so that it does not wait itself
      [[maybe_unused]] const auto wrote = ::write(hostile.get(), &max_count, sizeof max_count);
      ::fcntl(hostile.get(), F_SETFL, flags & ~O_NONBLOCK);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::uint64_t signalled = 0;
  for (; signalled < 2000 || trust.holds(); ++signalled) {
    hostile.signal();
    neighbour->signal();
  }
  done = true;
  client.join();
  EXPECT_EQ(WriteWatch::count_interrupted(), interrupted + 1);
  EXPECT_TRUE(its_own.holds());
  EXPECT_EQ(neighbour->take(), signalled);
}

}  // namespace
}  // namespace umdev::os
