#include "umdev/vfio/serialized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

class SerializedDevice : public testing::Test {
 public:
  // The device keeps reads until the test completes them.
  void keep_reads() {
    seen->on_read = [this](ReadRequest request) { kept.emplace(std::move(request)); };
  }
  void open() {
    test::Outcome<> opened;
    device->open_device(user, opened.done());
    ASSERT_TRUE(opened.succeeded());
  }

  std::shared_ptr<test::GateDevice::Seen> seen = std::make_shared<test::GateDevice::Seen>();
  test::QueueExecutor executor;
  std::unique_ptr<Serialized> device =
      std::make_unique<Serialized>(std::make_unique<test::GateDevice>(seen), executor);
  test::FakeUser user{*device};
  test::FakeAccess first{user, 0, 0, 4};
  test::FakeAccess second{user, 0, 8, 4};
  std::optional<ReadRequest> kept;
};

TEST_F(SerializedDevice, a_call_that_finds_it_free_runs_on_the_callers_thread) {
  device->read(first.read_request());
  EXPECT_TRUE(first.completed());
  device->write(second.write_request());
  EXPECT_TRUE(second.completed());
  EXPECT_EQ(executor.run(), 0U);
}

TEST_F(SerializedDevice, shows_the_request_as_it_is) {
  keep_reads();
  device->read(second.read_request());
  ASSERT_TRUE(kept);
  EXPECT_EQ(&kept->user(), &user);
  EXPECT_EQ(kept->region(), 0U);
  EXPECT_EQ(kept->offset(), 8U);
  kept->data()[3] = std::byte{5};
  kept->complete(4);
  EXPECT_EQ(second.result().value(), 4U);
  EXPECT_EQ(second.data()[3], std::byte{5});
}

TEST_F(SerializedDevice, an_uncompleted_access_keeps_others_out) {
  keep_reads();
  device->read(first.read_request());
  device->write(second.write_request());
  EXPECT_EQ(executor.run(), 0U);
  EXPECT_THAT(seen->all(), ElementsAre("read"));
  kept->complete_all();
  EXPECT_TRUE(first.completed());
  EXPECT_THAT(seen->all(), ElementsAre("read")) << "it was entered from inside its own completion";
  executor.run();
  EXPECT_THAT(seen->all(), ElementsAre("read", "write"));
  EXPECT_TRUE(second.completed());
}

TEST_F(SerializedDevice, a_dropped_access_is_eio_and_lets_the_next_one_in) {
  keep_reads();
  device->read(first.read_request());
  device->write(second.write_request());
  kept.reset();
  executor.run();
  EXPECT_EQ(test::error_of(first.result()), EIO);
  EXPECT_TRUE(second.result());
}

TEST_F(SerializedDevice, queued_calls_go_in_in_the_order_in_which_they_came) {
  open();
  keep_reads();
  device->read(first.read_request());
  test::Outcome<> reset;
  test::Outcome<> closed;
  device->reset(user, reset.done());
  device->write(second.write_request());
  device->request(0);
  device->dma_unmap(user, {0, 4096});
  device->close_device(user, closed.done());
  kept->complete_all();
  executor.run();
  EXPECT_THAT(seen->all(), ElementsAre("open", "read", "reset", "write", "request", "dma_unmap", "close"));
  EXPECT_TRUE(reset.succeeded());
  EXPECT_TRUE(closed.succeeded());
  EXPECT_EQ(seen->inside_most, 1);
}

TEST_F(SerializedDevice, an_access_that_has_completed_but_not_returned_keeps_others_out) {
  seen->on_read = [this](ReadRequest request) {
    seen->on_read.reset();
    request.complete_all();
    device->write(second.write_request());
    EXPECT_EQ(seen->count("write"), 0U);
  };
  device->read(first.read_request());
  EXPECT_FALSE(second.completed());
  executor.run();
  EXPECT_TRUE(second.completed());
  EXPECT_EQ(seen->inside_most, 1);
}

TEST_F(SerializedDevice, passes_answers_on) {
  EXPECT_EQ(device->ioctl(user, {}).value(), 7U);
  EXPECT_TRUE(device->mmap(user, {}));
  EXPECT_TRUE(device->device_feature(user, {}));
  EXPECT_TRUE(user.irq().listen(0));
  IrqRequest request{.flags = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger, .count = 1};
  EXPECT_TRUE(device->set_irqs(user, request));
  EXPECT_EQ(user.irq().take(0), 1U);
  EXPECT_THAT(seen->all(), ElementsAre("ioctl", "mmap", "feature", "set_irqs"));
}

TEST_F(SerializedDevice, passes_on_what_it_does_not_serialise) {
  EXPECT_EQ(device->name(), "gate");
  EXPECT_EQ(device->info().num_regions, 1U);
  EXPECT_EQ(device->region_info(0)->size, 4096U);
  EXPECT_EQ(device->irq_info(0)->count, 1U);
  EXPECT_TRUE(device->pins_memory());
  EXPECT_GT(device->match("gate", "gate"), 0);
  EXPECT_TRUE(device->match_token(Uuid()));
  EXPECT_EQ(test::error_of(device->match_token(std::nullopt)), EACCES);
}

TEST_F(SerializedDevice, a_call_that_answers_is_ebusy_while_an_access_is_uncompleted) {
  keep_reads();
  device->read(first.read_request());
  EXPECT_EQ(test::error_of(device->ioctl(user, {})), EBUSY);
  kept->complete_all();
  EXPECT_TRUE(device->ioctl(user, {}));
}

TEST_F(SerializedDevice, a_call_that_answers_goes_in_before_what_is_queued) {
  keep_reads();
  device->read(first.read_request());
  device->write(second.write_request());
  kept->complete_all();
  EXPECT_TRUE(device->ioctl(user, {}));
  executor.run();
  EXPECT_THAT(seen->all(), ElementsAre("read", "ioctl", "write"));
}

TEST_F(SerializedDevice, what_is_queued_goes_in_though_a_call_that_answers_was_inside_when_its_turn_came) {
  keep_reads();
  device->read(first.read_request());
  device->write(second.write_request());
  kept->complete_all();
  seen->in_every_call = [this] { executor.run(); };
  EXPECT_TRUE(device->ioctl(user, {}));
  seen->in_every_call.reset();
  executor.run();
  EXPECT_THAT(seen->all(), ElementsAre("read", "ioctl", "write"));
  EXPECT_EQ(seen->inside_most, 1);
}

TEST_F(SerializedDevice, a_call_that_answers_from_inside_is_edeadlk) {
  int code = 0;
  seen->on_read = [&](ReadRequest request) {
    code = test::error_of(device->ioctl(user, {}));
    request.complete_all();
  };
  device->read(first.read_request());
  EXPECT_EQ(code, EDEADLK);
}

TEST_F(SerializedDevice, a_call_that_answers_waits_for_a_function_to_return) {
  std::latch inside(1);
  std::latch go_on(1);
  seen->on_read = [&](ReadRequest request) {
    inside.count_down();
    go_on.wait();
    request.complete_all();
  };
  std::thread reader([&] { device->read(first.read_request()); });
  inside.wait();
  std::thread caller([&] { EXPECT_TRUE(device->ioctl(user, {})); });
  EXPECT_EQ(seen->count("ioctl"), 0U);
  go_on.count_down();
  reader.join();
  caller.join();
  EXPECT_EQ(seen->inside_most, 1);
}

TEST_F(SerializedDevice, an_open_occupies_it_until_it_has_completed) {
  Done<> opening;
  seen->on_open = [&](Done<> done) { opening = std::move(done); };
  test::Outcome<> opened;
  device->open_device(user, opened.done());
  device->read(first.read_request());
  executor.run();
  EXPECT_FALSE(first.completed());
  opening(fail(ENODEV, "broken"));
  EXPECT_EQ(opened.error(), ENODEV);
  executor.run();
  EXPECT_TRUE(first.completed());
}

TEST_F(SerializedDevice, a_done_that_the_device_drops_is_ecanceled_and_lets_the_next_one_in) {
  seen->on_open = [](Done<>) {};
  test::Outcome<> opened;
  device->open_device(user, opened.done());
  EXPECT_EQ(opened.error(), ECANCELED);
  device->read(first.read_request());
  EXPECT_TRUE(first.completed());
}

TEST_F(SerializedDevice, dma_unmap_reaches_only_users_that_it_is_open_for) {
  device->dma_unmap(user, {0, 4096});
  EXPECT_EQ(seen->count("dma_unmap"), 0U) << "before its open";
  open();
  device->dma_unmap(user, {0, 4096});
  EXPECT_EQ(seen->count("dma_unmap"), 1U);
  test::Outcome<> closed;
  device->close_device(user, closed.done());
  device->dma_unmap(user, {0, 4096});
  EXPECT_EQ(seen->count("dma_unmap"), 1U) << "after its close";
}

TEST_F(SerializedDevice, a_dma_unmap_that_is_queued_behind_the_close_is_dropped) {
  open();
  keep_reads();
  device->read(first.read_request());
  test::Outcome<> closed;
  device->close_device(user, closed.done());
  device->dma_unmap(user, {0, 4096});
  kept->complete_all();
  executor.run();
  EXPECT_TRUE(closed.succeeded());
  EXPECT_EQ(seen->count("dma_unmap"), 0U);
}

TEST_F(SerializedDevice, dma_unmap_of_a_user_whose_open_failed_is_dropped) {
  seen->on_open = [](Done<> done) { done(fail(EIO, "broken")); };
  test::Outcome<> opened;
  device->open_device(user, opened.done());
  EXPECT_EQ(opened.error(), EIO);
  device->dma_unmap(user, {0, 4096});
  EXPECT_EQ(seen->count("dma_unmap"), 0U);
}

TEST_F(SerializedDevice, may_be_destroyed_by_the_completion_of_its_close) {
  open();
  bool closed = false;
  device->close_device(user, [&](Result<> result) {
    closed = result.has_value();
    device.reset();
  });
  EXPECT_TRUE(closed);
  EXPECT_EQ(device, nullptr);
}

TEST_F(SerializedDevice, an_answer_that_comes_after_its_end_touches_nothing) {
  keep_reads();
  device->read(first.read_request());
  device.reset();
  kept->complete_all();
  EXPECT_TRUE(first.completed());
}

}  // namespace
}  // namespace umdev::vfio
