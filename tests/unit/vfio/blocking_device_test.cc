#include "umdev/vfio/blocking_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <optional>
#include <thread>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"
#include "tests/support/test_host.h"
#include "tests/unit/vfio/gate_device.h"

namespace umdev::vfio {
namespace {

using testing::ElementsAre;

class BlockingDeviceTest : public testing::Test {
 public:
  void make(std::size_t queue_limit = BlockingDevice::default_queue_limit) {
    device =
        std::make_unique<BlockingDevice>(std::make_unique<test::GateDevice>(seen), executor, queue_limit);
  }
  // Runs the executor until the device has completed; the errno.
  int wait_for(const test::Outcome<>& outcome) {
    while (!outcome.is_done()) {
      executor.run();
      std::this_thread::yield();
    }
    return outcome.error();
  }
  int open() {
    test::Outcome<> opened;
    device->open_device(user, opened.done());
    return wait_for(opened);
  }
  int close() {
    test::Outcome<> closed;
    device->close_device(user, closed.done());
    return wait_for(closed);
  }
  // Reads stop inside the device until release().
  void block_reads() {
    seen->on_read = [this](ReadRequest request) {
      inside.count_down();
      released.wait();
      request.complete_all();
    };
  }

  std::shared_ptr<test::GateDevice::Seen> seen = std::make_shared<test::GateDevice::Seen>();
  test::QueueExecutor executor;
  std::unique_ptr<BlockingDevice> device;
  test::FakeUser user{{{abi::vfio_irq_info_eventfd, 1}}};
  test::FakeAccess first{user, 0, 0, 4};
  test::FakeAccess second{user, 0, 8, 4};
  test::FakeAccess third{user, 0, 8, 4};
  std::latch inside{1};
  std::latch released{1};
};

TEST_F(BlockingDeviceTest, runs_every_call_on_one_thread_of_its_own) {
  make();
  std::atomic<int> strangers = 0;
  std::optional<std::thread::id> its_thread;
  seen->in_every_call = [&, caller = std::this_thread::get_id()] {
    if (!its_thread) its_thread = std::this_thread::get_id();
    if (*its_thread != std::this_thread::get_id() || caller == std::this_thread::get_id()) ++strangers;
  };
  EXPECT_EQ(open(), 0);
  EXPECT_TRUE(test::read_bytes(*device, user, 0, 0, 4));
  EXPECT_TRUE(test::write_register<std::uint32_t>(*device, user, 0, 0, 1));
  EXPECT_EQ(close(), 0);
  EXPECT_EQ(strangers, 0);
  EXPECT_THAT(seen->all(), ElementsAre("open", "read", "write", "close"));
}

TEST_F(BlockingDeviceTest, its_caller_does_not_wait) {
  make();
  block_reads();
  ASSERT_EQ(open(), 0);
  device->read(first.read_request());
  inside.wait();
  EXPECT_FALSE(first.completed());
  EXPECT_TRUE(device->ioctl(user, {})) << "what returns its answer goes past the thread";
  released.count_down();
  EXPECT_TRUE(first.wait());
  EXPECT_EQ(close(), 0);
}

TEST_F(BlockingDeviceTest, takes_calls_in_the_order_in_which_they_came) {
  make();
  block_reads();
  ASSERT_EQ(open(), 0);
  device->read(first.read_request());
  std::promise<void> reset;
  device->write(second.write_request());
  device->request(3);
  device->dma_unmap(user, {0, 4096});
  device->reset(user, [&](Result<>) { reset.set_value(); });
  released.count_down();
  reset.get_future().wait();
  EXPECT_THAT(seen->all(), ElementsAre("open", "read", "write", "request", "dma_unmap", "reset"));
  EXPECT_EQ(seen->inside_most, 1);
  EXPECT_EQ(close(), 0);
}

TEST_F(BlockingDeviceTest, its_queue_is_bounded) {
  make(1);
  block_reads();
  ASSERT_EQ(open(), 0);
  device->read(first.read_request());
  inside.wait();
  device->read(second.read_request());
  device->write(third.write_request());
  EXPECT_EQ(test::error_of(third.result()), EAGAIN);
  test::Outcome<> reset;
  device->reset(user, reset.done());
  EXPECT_EQ(reset.error(), EAGAIN);
  released.count_down();
  EXPECT_EQ(close(), 0) << "a close is never refused";
  EXPECT_TRUE(second.result());
}

TEST_F(BlockingDeviceTest, has_no_thread_while_it_is_not_open) {
  make();
  device->read(first.read_request());
  EXPECT_EQ(test::error_of(first.result()), ENODEV);
  device->request(0);
  device->dma_unmap(user, {0, 4096});
  EXPECT_TRUE(seen->all().empty());
}

TEST_F(BlockingDeviceTest, may_be_opened_and_closed_again_and_again) {
  make();
  for (int round = 0; round < 50; ++round) {
    ASSERT_EQ(open(), 0);
    ASSERT_TRUE(test::read_bytes(*device, user, 0, 0, 4));
    ASSERT_EQ(close(), 0);
  }
}

TEST_F(BlockingDeviceTest, an_error_of_open_is_the_error_of_opening_and_nothing_is_open_then) {
  make();
  seen->on_open = [](Done<> done) { done(fail(EIO, "broken")); };
  EXPECT_EQ(open(), EIO);
  device->dma_unmap(user, {0, 4096});
  seen->on_open.reset();
  EXPECT_EQ(open(), 0);
  EXPECT_EQ(close(), 0);
  EXPECT_EQ(seen->count("dma_unmap"), 0U);
}

TEST_F(BlockingDeviceTest, goes_on_while_an_access_completes_later) {
  make();
  std::optional<ReadRequest> kept;
  seen->on_read = [&](ReadRequest request) { kept.emplace(std::move(request)); };
  ASSERT_EQ(open(), 0);
  device->read(first.read_request());
  EXPECT_TRUE(test::write_register<std::uint8_t>(*device, user, 0, 0, 1));
  EXPECT_FALSE(first.completed());
  kept->complete_all();
  EXPECT_TRUE(first.completed());
  EXPECT_EQ(close(), 0);
}

TEST_F(BlockingDeviceTest, may_be_destroyed_by_the_completion_of_its_close) {
  make();
  ASSERT_EQ(open(), 0);
  bool destroyed = false;
  device->close_device(user, [&](Result<>) {
    device.reset();
    destroyed = true;
  });
  while (!destroyed) {
    executor.run();
    std::this_thread::yield();
  }
  EXPECT_EQ(device, nullptr);
}

TEST_F(BlockingDeviceTest, may_be_destroyed_by_the_completion_of_an_open_that_failed) {
  make();
  seen->on_open = [](Done<> done) { done(fail(EIO, "broken")); };
  bool destroyed = false;
  device->open_device(user, [&](Result<>) {
    device.reset();
    destroyed = true;
  });
  while (!destroyed) {
    executor.run();
    std::this_thread::yield();
  }
}

TEST_F(BlockingDeviceTest, destruction_waits_for_the_call_inside_and_drops_what_is_queued) {
  make();
  block_reads();
  ASSERT_EQ(open(), 0);
  device->read(first.read_request());
  inside.wait();
  device->write(second.write_request());
  std::thread destroyer([&] { device.reset(); });
  EXPECT_TRUE(second.wait());
  EXPECT_EQ(test::error_of(second.result()), EIO);
  EXPECT_FALSE(first.completed());
  released.count_down();
  destroyer.join();
  EXPECT_TRUE(first.completed());
  EXPECT_EQ(seen->count("write"), 0U);
}

}  // namespace
}  // namespace umdev::vfio
