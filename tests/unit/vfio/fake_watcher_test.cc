#include "tests/support/fake_watcher.h"

#include <gtest/gtest.h>

#include <memory>

#include "umdev/os/event_fd.h"

namespace umdev::test {
namespace {

TEST(FakeWatcher, calls_back_once_for_each_delivery_that_finds_the_descriptor_readable) {
  FakeWatcher watcher;
  const auto event = os::EventFd::create().value();
  int calls = 0;
  const auto watch = watcher.watch(event.get(), [&] { ++calls; }).value();
  EXPECT_EQ(watcher.deliver(), 0U);
  event.signal();
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(watcher.deliver(), 1U);
  EXPECT_EQ(watcher.deliver(), 1U) << "it was not drained";
  EXPECT_EQ(calls, 2);
  (void)event.take();
  EXPECT_EQ(watcher.deliver(), 0U);
}

TEST(FakeWatcher, ends_with_its_watch) {
  FakeWatcher watcher;
  const auto event = os::EventFd::create().value();
  auto watch = watcher.watch(event.get(), [] { FAIL() << "the watch had ended"; }).value();
  EXPECT_EQ(watcher.watched(), 1U);
  event.signal();
  watch.reset();
  EXPECT_EQ(watcher.watched(), 0U);
  EXPECT_EQ(watcher.deliver(), 0U);
}

TEST(FakeWatcher, a_callback_may_end_its_own_watch) {
  FakeWatcher watcher;
  const auto event = os::EventFd::create().value();
  std::unique_ptr<vfio::FdWatcher::Watch> watch;
  watch = watcher.watch(event.get(), [&] { watch.reset(); }).value();
  event.signal();
  EXPECT_EQ(watcher.deliver(), 1U);
  EXPECT_EQ(watcher.watched(), 0U);
}

TEST(FakeWatcher, a_late_callback_outlives_its_watch) {
  FakeWatcher watcher;
  const auto event = os::EventFd::create().value();
  EXPECT_FALSE(watcher.take_ready());
  auto owned = std::make_shared<int>(0);
  auto watch = watcher.watch(event.get(), [owned] { ++*owned; }).value();
  event.signal();
  Work late = watcher.take_ready();
  watch.reset();
  EXPECT_EQ(owned.use_count(), 2);
  late();
  EXPECT_EQ(*owned, 1);
  late.reset();
  EXPECT_EQ(owned.use_count(), 1) << "the callback was not destroyed";
}

TEST(FakeWatcher, refuses_one_watch_when_told_to) {
  FakeWatcher watcher;
  const auto event = os::EventFd::create().value();
  watcher.refuse_next(ENOSPC);
  EXPECT_EQ(watcher.watch(event.get(), [] {}).error().code, ENOSPC);
  EXPECT_TRUE(watcher.watch(event.get(), [] {}));
}

}  // namespace
}  // namespace umdev::test
