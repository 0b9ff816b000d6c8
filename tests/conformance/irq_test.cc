// SET_IRQS, as every VFIO client may use it on every device.
#include "tests/conformance/devices.h"
#include "umdev/os/event_fd.h"

namespace umdev::conformance {
namespace {

constexpr std::uint32_t none = abi::vfio_irq_set_data_none;
constexpr std::uint32_t boolean = abi::vfio_irq_set_data_bool;
constexpr std::uint32_t eventfd = abi::vfio_irq_set_data_eventfd;
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;

TEST_P(Conformance, requests_that_make_no_sense_are_refused) {
  for (std::uint32_t index = 0; index < file().info()->num_irqs; ++index) {
    SCOPED_TRACE(index);
    const auto info = file().irq_info(index);
    const std::uint32_t count = info ? info->count : 0;
    EXPECT_EQ(set_irqs(trigger, index, 0, 1), EINVAL) << "no type of data";
    EXPECT_EQ(set_irqs(none | boolean | trigger, index, 0, 1), EINVAL) << "two";
    EXPECT_EQ(set_irqs(none | boolean | eventfd | trigger, index, 0, 1), EINVAL) << "three";
    EXPECT_EQ(set_irqs(none | trigger | 0x40, index, 0, 1), EINVAL) << "unknown flags";
    EXPECT_EQ(set_irqs(none | trigger | 0x80000000, index, 0, 1), EINVAL);
    EXPECT_EQ(set_irqs(none | trigger, index, count, 1), EINVAL) << "past the last vector";
    EXPECT_EQ(set_irqs(none | trigger, index, 0, count + 1), EINVAL);
    EXPECT_EQ(set_irqs(eventfd | trigger, index, 0, count + 1), EINVAL);
    EXPECT_EQ(set_irqs(none | trigger, index, 1, ~0U), EINVAL) << "start + count wraps";
    EXPECT_EQ(set_irqs(none | trigger, index, ~0U, 1), EINVAL);
    EXPECT_EQ(set_irqs(none | trigger, index, ~0U, ~0U), EINVAL);
    if (count == 0) {
      EXPECT_EQ(set_irqs(none | trigger, index, 0, 0), EINVAL) << "an index without vectors";
      continue;
    }
    EXPECT_EQ(set_irqs(none, index, 0, 1), ENOTTY) << "no action";
    EXPECT_EQ(set_irqs(none | mask | trigger, index, 0, 1), ENOTTY) << "two";
  }
}

TEST_P(Conformance, an_index_that_is_not_enabled_cannot_be_triggered_or_disabled) {
  for (const std::uint32_t index : indexes_with_vectors()) {
    SCOPED_TRACE(index);
    EXPECT_EQ(set_irqs(none | trigger, index, 0, 1), EINVAL);
    EXPECT_EQ(set_irqs(none | trigger, index, 0, 0), EINVAL);
  }
}

TEST_P(Conformance, every_index_can_be_enabled_used_and_disabled_again) {
  for (const std::uint32_t index : indexes_with_vectors())
    for (int round = 0; round < 3; ++round) {
      SCOPED_TRACE(index);
      const std::uint32_t count = file().irq_info(index)->count;
      EXPECT_EQ(set_irqs(eventfd | trigger, index, 0, count), 0);
      EXPECT_EQ(set_irqs(none | trigger, index, 0, count), 0);
      EXPECT_EQ(set_irqs(boolean | trigger, index, 0, count), 0);
      EXPECT_EQ(set_irqs(eventfd | trigger, index, count - 1, 1), 0) << "another eventfd";
      EXPECT_EQ(set_empty_eventfds(index, 0, 1), 0);
      if (set_irqs(none | trigger, index, 0, 0) != 0) {
        EXPECT_EQ(count, 1U) << "only a notification is disabled by taking its one eventfd away";
      }
      EXPECT_EQ(set_irqs(none | trigger, index, 0, 0), EINVAL) << "it is disabled";
    }
}

TEST_P(Conformance, only_a_maskable_index_can_be_masked) {
  for (const std::uint32_t index : indexes_with_vectors()) {
    SCOPED_TRACE(index);
    ASSERT_EQ(set_irqs(eventfd | trigger, index, 0, 1), 0);
    const bool maskable = (file().irq_info(index)->flags & abi::vfio_irq_info_maskable) != 0;
    EXPECT_EQ(set_irqs(none | mask, index, 0, 1), maskable ? 0 : ENOTTY);
    EXPECT_EQ(set_irqs(none | unmask, index, 0, 1), maskable ? 0 : ENOTTY);
    EXPECT_EQ(set_irqs(eventfd | mask, index, 0, 1), ENOTTY) << "masking by eventfd does not exist";
    EXPECT_EQ(set_irqs(none | trigger, index, 0, 0), 0);
  }
}

TEST_P(Conformance, a_pci_device_has_one_kind_of_interrupt_at_a_time) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  for (const std::uint32_t enabled : indexes_with_vectors()) {
    if (enabled > abi::vfio_pci_msix_irq_index) continue;
    ASSERT_EQ(set_irqs(eventfd | trigger, enabled, 0, 1), 0);
    for (const std::uint32_t other : indexes_with_vectors())
      if (other != enabled) {
        EXPECT_EQ(set_irqs(eventfd | trigger, other, 0, 1),
                  other <= abi::vfio_pci_msix_irq_index ? EINVAL : 0);
      }
    EXPECT_EQ(set_irqs(none | trigger, enabled, 0, 0), 0);
  }
}

TEST_P(Conformance, what_is_set_up_signals_its_eventfd) {
  for (const std::uint32_t index : indexes_with_vectors()) {
    os::EventFd event = os::EventFd::create().value();
    std::vector<os::UniqueFd> eventfds;
    eventfds.push_back(event.dup().value());
    vfio::IrqRequest request{.flags = eventfd | trigger, .index = index, .count = 1, .eventfds = eventfds};
    ASSERT_TRUE(file().set_irqs(request)) << index;
    event.take();  // a line that was high already
    EXPECT_EQ(set_irqs(none | trigger, index, 0, 1), 0);
    EXPECT_EQ(event.take(), 1U) << index;
    EXPECT_EQ(set_irqs(none | trigger, index, 0, 0), 0);
  }
}

}  // namespace
}  // namespace umdev::conformance
