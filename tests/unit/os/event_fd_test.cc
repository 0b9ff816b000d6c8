#include "umdev/os/event_fd.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <atomic>
#include <thread>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/event_signaller.h"
#include "umdev/os/memfd.h"
#include "umdev/support/sanitizers.h"

namespace umdev::os {
namespace {

constexpr std::uint64_t max_count = UINT64_MAX - 1;

EventFd adopted(unsigned initial, int flags) {
  auto event = EventFd::adopt(UniqueFd(::eventfd(initial, EFD_CLOEXEC | flags)));
  EXPECT_TRUE(event);
  return std::move(*event);
}

void fill(int fd) {
  ASSERT_EQ(::write(fd, &max_count, sizeof max_count), 8);
}

TEST(EventFd, counts_signals_until_they_are_taken) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->take(), 0U);
  event->signal();
  event->signal();
  EXPECT_EQ(event->take(), 2U);
  EXPECT_EQ(event->take(), 0U);
}

TEST(EventFd, is_close_on_exec) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  EXPECT_TRUE(is_close_on_exec(event->get()));
}

TEST(EventFd, drops_a_signal_when_full) {
  const auto event = EventFd::create();
  ASSERT_TRUE(event);
  fill(event->get());
  event->signal();
  EXPECT_EQ(event->take(), max_count);
}

TEST(CheckEventFd, takes_counters_and_semaphores) {
  EXPECT_TRUE(check_event_fd(UniqueFd(::eventfd(0, EFD_CLOEXEC)).get()));
  EXPECT_TRUE(check_event_fd(UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)).get()));
}

TEST(CheckEventFd, other_descriptors_are_einval) {
  const auto memfd = create_memfd("eventfd", 8);
  const auto lookalike = create_memfd("anon_inode:[eventfd]", 8);
  const UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {memfd->get(), lookalike->get(), timer.get(), null.get()})
    EXPECT_EQ(check_event_fd(fd).error().code, EINVAL) << fd;
}

TEST(CheckEventFd, closed_descriptors_are_ebadf) {
  for (const int fd : {-1, INT_MIN, INT_MAX, 1'000'000})
    EXPECT_EQ(check_event_fd(fd).error().code, EBADF) << fd;
}

TEST(AdoptedEventFd, what_is_refused_is_closed) {
  auto memfd = create_memfd("test", 8);
  const int number = memfd->get();
  EXPECT_EQ(EventFd::adopt(std::move(*memfd)).error().code, EINVAL);
  EXPECT_FALSE(is_open(number));
}

class AdoptedEventFdOfKind : public testing::TestWithParam<int> {};

TEST_P(AdoptedEventFdOfKind, counts_signals_until_they_are_taken) {
  const EventFd event = adopted(0, GetParam());
  EXPECT_EQ(event.take(), 0U);
  for (int round = 0; round < 1000; ++round) event.signal();
  EXPECT_EQ(event.take(), 1000U);
  EXPECT_EQ(event.take(), 0U);
}

TEST_P(AdoptedEventFdOfKind, a_full_one_never_blocks_and_stays_readable) {
  const EventFd event = adopted(0, GetParam());
  fill(event.get());
  for (int round = 0; round < 1000; ++round) event.signal();
  pollfd entry{.fd = event.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&entry, 1, 0), 1);
  EXPECT_GE(event.take(), max_count);
  event.signal();
  EXPECT_EQ(event.take(), 1U);
}

TEST_P(AdoptedEventFdOfKind, keeps_the_clients_flags) {
  const EventFd event = adopted(0, GetParam());
  const int before = ::fcntl(event.get(), F_GETFL);
  event.signal();
  event.take();
  event.take();
  EXPECT_EQ(::fcntl(event.get(), F_GETFL), before);
}

INSTANTIATE_TEST_SUITE_P(BlockingAndNot, AdoptedEventFdOfKind, testing::Values(0, EFD_NONBLOCK));

TEST(AdoptedEventFd, a_signal_wakes_a_client_that_waits_in_read) {
  const EventFd event = adopted(0, 0);
  std::uint64_t count = 0;
  std::thread client([&] { EXPECT_EQ(::read(event.get(), &count, sizeof count), 8); });
  event.signal();
  client.join();
  EXPECT_EQ(count, 1U);
}

TEST(AdoptedEventFd, a_semaphore_is_taken_one_by_one) {
  const EventFd event = adopted(0, EFD_SEMAPHORE);
  event.signal();
  event.signal();
  EXPECT_EQ(event.take(), 1U);
  EXPECT_EQ(event.take(), 1U);
  EXPECT_EQ(event.take(), 0U);
}

// A client that fills its blocking eventfd whenever it can would catch a write() that a poll() allowed.
// Nobody empties it but this thread, and only after signal() has come back.
TEST(AdoptedEventFd, a_client_that_fills_it_at_any_moment_never_blocks_us) {
  if (has_thread_sanitizer) GTEST_SKIP() << "signalled by poll() and write() under ThreadSanitizer";
  const EventFd event = adopted(0, 0);
  std::atomic<bool> done = false;
  std::atomic<bool> ended = false;
  std::thread client([&] {
    while (!done) {
      [[maybe_unused]] const auto wrote = ::write(event.get(), &max_count, sizeof max_count);
    }
    ended = true;
  });
  for (int round = 0; round < 50'000; ++round) {
    event.signal();
    event.take();
  }
  done = true;
  while (!ended) event.take();
  client.join();
}

TEST(EventSignaller, works_on_this_kernel_and_outlives_its_own_queue) {
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
  EventSignaller signaller;
  for (int round = 0; round < 1000; ++round) ASSERT_TRUE(signaller.signal(fd.get())) << round;
  std::uint64_t count = 0;
  ASSERT_EQ(::read(fd.get(), &count, sizeof count), 8);
  EXPECT_EQ(count, 1000U);
}

TEST(EventSignaller, refuses_what_is_no_eventfd) {
  EventSignaller signaller;
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(signaller.signal(null.get()));
  EXPECT_FALSE(signaller.signal(-1));
}

}  // namespace
}  // namespace umdev::os
