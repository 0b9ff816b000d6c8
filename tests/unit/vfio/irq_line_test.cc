// Level-triggered interrupts: line, automask, what is remembered, unmask eventfds.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "umdev/abi/vfio.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t level_flags =
    abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked;

int code_of(const Result<>& result) {
  return result ? 0 : result.error().code;
}

class IrqLine : public testing::Test {
 public:
  void SetUp() override { ASSERT_TRUE(client.listen(intx)); }
  void unmask_now() { ASSERT_EQ(code_of(client.none(unmask, intx)), 0); }
  void mask_now() { ASSERT_EQ(code_of(client.none(mask, intx)), 0); }

  test::FakeWatcher watcher;
  IrqSet irqs{{{level_flags, 1}}, &watcher};
  test::IrqClient client{irqs};
};

TEST_F(IrqLine, a_raised_line_signals_once_and_masks) {
  irqs.raise(intx);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  irqs.lower(intx);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 0U) << "it was not masked";
}

TEST_F(IrqLine, unmask_with_the_line_still_high_signals_exactly_once_more) {
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  for (int round = 0; round < 3; ++round) {
    unmask_now();
    EXPECT_EQ(client.take(intx), 1U) << round;
    EXPECT_EQ(client.take(intx), 0U) << round;
  }
}

TEST_F(IrqLine, unmask_with_the_line_low_signals_nothing_until_the_next_raise) {
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  irqs.lower(intx);
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, raised_while_masked_is_delivered_at_unmask) {
  mask_now();
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 0U);
  unmask_now();
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, raised_and_lowered_while_masked_is_not_delivered) {
  mask_now();
  irqs.raise(intx);
  irqs.lower(intx);
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqLine, unmasking_what_is_not_masked_signals_nothing) {
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqLine, mask_and_unmask_by_bool_obey_the_byte) {
  ASSERT_EQ(code_of(client.bools(mask, intx, 0, {false})), 0);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  ASSERT_EQ(code_of(client.bools(unmask, intx, 0, {false})), 0);
  EXPECT_EQ(client.take(intx), 0U);
  ASSERT_EQ(code_of(client.bools(unmask, intx, 0, {true})), 0);
  EXPECT_EQ(client.take(intx), 1U);
  irqs.lower(intx);
  ASSERT_EQ(code_of(client.bools(unmask, intx, 0, {true})), 0);
  ASSERT_EQ(code_of(client.bools(mask, intx, 0, {true})), 0);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqLine, a_pulse_signals_once_and_masks) {
  irqs.pulse(intx);
  EXPECT_EQ(client.take(intx), 1U);
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U) << "a pulse leaves no line high";
}

TEST_F(IrqLine, pulses_while_masked_are_remembered_as_one) {
  irqs.pulse(intx);
  irqs.pulse(intx);
  irqs.pulse(intx);
  irqs.lower(intx);
  EXPECT_EQ(client.take(intx), 1U);
  unmask_now();
  EXPECT_EQ(client.take(intx), 1U);
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqLine, a_pulse_and_a_high_line_are_one_event) {
  mask_now();
  irqs.raise(intx);
  irqs.pulse(intx);
  unmask_now();
  EXPECT_EQ(client.take(intx), 1U);
  irqs.lower(intx);
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqLine, loop_back_signals_without_masking_or_asking_the_mask) {
  ASSERT_EQ(code_of(client.none(trigger, intx)), 0);
  EXPECT_EQ(client.take(intx), 1U);
  mask_now();
  ASSERT_EQ(code_of(client.bools(trigger, intx, 0, {true})), 0);
  EXPECT_EQ(client.take(intx), 1U);
  unmask_now();
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, a_line_that_is_high_signals_when_the_interrupt_is_enabled) {
  ASSERT_TRUE(client.disable(intx));
  irqs.raise(intx);
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, disabling_drops_mask_and_remembered_pulses_but_not_the_line) {
  mask_now();
  irqs.pulse(intx);
  ASSERT_TRUE(client.disable(intx));
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(client.take(intx), 0U);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  ASSERT_TRUE(client.disable(intx));
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, a_silent_interrupt_is_not_masked_by_its_line) {
  ASSERT_EQ(code_of(client.eventfd(trigger, intx, 0, {})), 0);
  irqs.raise(intx);
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(client.take(intx), 1U) << "the event was lost with the eventfd";
}

TEST_F(IrqLine, a_replaced_eventfd_inherits_the_mask) {
  irqs.raise(intx);
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(client.take(intx), 0U);
  unmask_now();
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqLine, clear_pending_lowers_the_line_and_keeps_the_setup) {
  mask_now();
  irqs.raise(intx);
  irqs.pulse(intx);
  irqs.clear_pending();
  EXPECT_TRUE(irqs.enabled(intx));
  unmask_now();
  EXPECT_EQ(client.take(intx), 0U);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
}

TEST(IrqEdge, a_maskable_edge_is_remembered_once_while_masked) {
  IrqSet irqs({{abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable, 2}}, nullptr, IrqLayout::other);
  test::IrqClient client(irqs);
  ASSERT_TRUE(client.listen(0, 0, 2));
  ASSERT_EQ(code_of(client.none(mask, 0, 0, 2)), 0);
  irqs.raise(0, 1);
  irqs.raise(0, 1);
  irqs.lower(0, 1);
  EXPECT_EQ(client.take(0, 1), 0U);
  ASSERT_EQ(code_of(client.none(unmask, 0, 0, 2)), 0);
  EXPECT_EQ(client.take(0, 0), 0U);
  EXPECT_EQ(client.take(0, 1), 1U);
  irqs.raise(0, 1);
  irqs.raise(0, 1);
  EXPECT_EQ(client.take(0, 1), 2U) << "an edge does not mask itself";
}

class IrqUnmaskEventfd : public IrqLine {
 public:
  Result<> set_resample() { return client.eventfd(unmask, intx, 0, resample.dup().value()); }

  os::EventFd resample = os::EventFd::create().value();
};

TEST_F(IrqUnmaskEventfd, is_drained_and_unmasks) {
  // The sequence of a VMM with KVM: mask, give the resample descriptor, unmask.
  mask_now();
  ASSERT_EQ(code_of(set_resample()), 0);
  unmask_now();
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  resample.signal();
  EXPECT_EQ(watcher.deliver(), 1U);
  EXPECT_EQ(client.take(intx), 1U) << "the line is still high";
  EXPECT_EQ(resample.take(), 0U);
  irqs.lower(intx);
  resample.signal();
  EXPECT_EQ(watcher.deliver(), 1U);
  EXPECT_EQ(client.take(intx), 0U);
  irqs.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqUnmaskEventfd, a_second_one_is_ebusy_and_minus_one_removes) {
  ASSERT_EQ(code_of(set_resample()), 0);
  EXPECT_EQ(code_of(set_resample()), EBUSY);
  EXPECT_EQ(watcher.watched(), 1U);
  EXPECT_EQ(code_of(client.eventfd(unmask, intx, 0, {})), 0);
  EXPECT_EQ(watcher.watched(), 0U);
  EXPECT_EQ(code_of(client.eventfd(unmask, intx, 0, {})), 0) << "removing nothing";
  EXPECT_EQ(code_of(set_resample()), 0);
}

TEST_F(IrqUnmaskEventfd, needs_an_enabled_interrupt) {
  ASSERT_TRUE(client.disable(intx));
  EXPECT_EQ(code_of(set_resample()), EINVAL);
}

TEST_F(IrqUnmaskEventfd, must_be_an_eventfd) {
  os::UniqueFd null_device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(code_of(client.eventfd(unmask, intx, 0, std::move(null_device))), EINVAL);
  EXPECT_EQ(watcher.watched(), 0U);
}

TEST_F(IrqUnmaskEventfd, ends_when_the_interrupt_is_disabled) {
  ASSERT_EQ(code_of(set_resample()), 0);
  ASSERT_TRUE(client.disable(intx));
  EXPECT_EQ(watcher.watched(), 0U);
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(code_of(set_resample()), 0) << "the old one was still there";
}

TEST_F(IrqUnmaskEventfd, a_late_callback_unmasks_nothing) {
  ASSERT_EQ(code_of(set_resample()), 0);
  resample.signal();
  Work late = watcher.take_ready();
  ASSERT_TRUE(late);
  ASSERT_EQ(code_of(client.eventfd(unmask, intx, 0, {})), 0);
  mask_now();
  irqs.raise(intx);
  late();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqUnmaskEventfd, a_callback_that_outlives_the_set_touches_nothing) {
  auto short_lived = std::make_unique<IrqSet>(std::vector<IrqInfo>{{level_flags, 1}}, &watcher);
  test::IrqClient its_client(*short_lived);
  ASSERT_TRUE(its_client.listen(intx));
  ASSERT_EQ(code_of(its_client.eventfd(unmask, intx, 0, resample.dup().value())), 0);
  resample.signal();
  Work late = watcher.take_ready();
  short_lived.reset();
  late();
}

TEST_F(IrqUnmaskEventfd, a_callback_with_nothing_to_read_unmasks_nothing) {
  ASSERT_EQ(code_of(set_resample()), 0);
  resample.signal();
  Work spurious = watcher.take_ready();
  (void)resample.take();
  mask_now();
  irqs.raise(intx);
  spurious();
  EXPECT_EQ(client.take(intx), 0U);
}

TEST_F(IrqUnmaskEventfd, is_enotty_where_nobody_watches) {
  IrqSet unwatched({{level_flags, 1}}, nullptr);
  test::IrqClient its_client(unwatched);
  ASSERT_TRUE(its_client.listen(intx));
  EXPECT_EQ(code_of(its_client.eventfd(unmask, intx, 0, resample.dup().value())), ENOTTY);
}

TEST_F(IrqUnmaskEventfd, the_watchers_error_is_the_requests_and_nothing_is_set) {
  watcher.refuse_next(ENOSPC);
  EXPECT_EQ(code_of(set_resample()), ENOSPC);
  EXPECT_EQ(code_of(set_resample()), 0);
}

TEST(IrqUnmaskEventfds, are_set_for_all_vectors_or_for_none) {
  test::FakeWatcher watcher;
  IrqSet irqs({{level_flags, 3}}, &watcher, IrqLayout::other);
  test::IrqClient client(irqs);
  ASSERT_TRUE(client.listen(0, 0, 3));
  ASSERT_EQ(code_of(client.eventfd(unmask, 0, 2, os::EventFd::create().value().dup().value())), 0);
  std::vector<os::UniqueFd> three;
  for (int vector = 0; vector < 3; ++vector) three.push_back(os::EventFd::create().value().dup().value());
  EXPECT_EQ(code_of(client.eventfds(unmask, 0, 0, std::move(three))), EBUSY);
  EXPECT_EQ(watcher.watched(), 1U);
}

}  // namespace
}  // namespace umdev::vfio
