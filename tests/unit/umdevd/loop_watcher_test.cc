#include "apps/umdevd/loop_watcher.h"

#include <gtest/gtest.h>

#include "tests/support/test_host.h"
#include "umdev/os/event_fd.h"

namespace umdev::daemon {
namespace {

// The loop is turned by the test itself.
class LoopWatcherTest : public testing::Test {
 public:
  void turn() {
    while (loop->run_once() > 0) continue;
  }
  // A watch whose callback owns the eventfd, as the core's does.
  std::unique_ptr<vfio::FdWatcher::Watch> watch(const std::shared_ptr<os::EventFd>& fd) {
    return watcher.watch(fd->get(), [this, fd] { seen += fd->take(); }).value();
  }

  test::RecordingLog log;
  std::unique_ptr<os::EventLoop> loop = os::EventLoop::create().value();
  LoopWatcher watcher{*loop, log};
  std::shared_ptr<os::EventFd> event = std::make_shared<os::EventFd>(os::EventFd::create().value());
  std::uint64_t seen = 0;
};

TEST_F(LoopWatcherTest, Calls_back_each_time_that_the_descriptor_is_readable) {
  const auto watching = watch(event);
  turn();
  EXPECT_EQ(seen, 0U);
  event->signal();
  turn();
  EXPECT_EQ(seen, 1U);
  event->signal();
  turn();
  EXPECT_EQ(seen, 2U);
}

TEST_F(LoopWatcherTest, Calls_back_for_what_was_readable_before) {
  event->signal();
  const auto watching = watch(event);
  turn();
  EXPECT_EQ(seen, 1U);
}

TEST_F(LoopWatcherTest, No_callback_after_its_end) {
  auto watching = watch(event);
  turn();
  watching.reset();
  event->signal();
  turn();
  EXPECT_EQ(seen, 0U);
}

TEST_F(LoopWatcherTest, The_descriptor_stays_open_until_the_loop_has_let_go_of_it) {
  auto watching = watch(event);
  turn();
  const std::weak_ptr<os::EventFd> owned = event;
  event.reset();
  watching.reset();
  EXPECT_FALSE(owned.expired());
  turn();
  EXPECT_TRUE(owned.expired());
}

TEST_F(LoopWatcherTest, A_watch_that_ends_before_it_has_begun_never_begins) {
  event->signal();
  auto watching = watch(event);
  watching.reset();
  turn();
  EXPECT_EQ(seen, 0U);
}

TEST_F(LoopWatcherTest, The_number_of_a_descriptor_may_be_used_again_at_once) {
  auto first = watch(event);
  turn();
  first.reset();
  const auto again = watch(event);  // the same number, while the first watch is on its way out
  turn();
  event->signal();
  turn();
  EXPECT_EQ(seen, 1U);
  EXPECT_EQ(log.count(LogLevel::error), 0U);
}

}  // namespace
}  // namespace umdev::daemon
