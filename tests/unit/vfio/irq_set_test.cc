// SET_IRQS: which requests an index takes, and what its eventfds see.
#include "umdev/vfio/irq_set.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "umdev/abi/vfio.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;
constexpr std::uint32_t msix = abi::vfio_pci_msix_irq_index;
constexpr std::uint32_t err = abi::vfio_pci_err_irq_index;
constexpr std::uint32_t req = abi::vfio_pci_req_irq_index;
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t level_flags =
    abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked;
constexpr std::uint32_t fixed_flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize;

std::vector<IrqInfo> pci_infos() {
  return {{level_flags, 1},
          {fixed_flags, 4},
          {abi::vfio_irq_info_eventfd, 8},
          {fixed_flags, 1},
          {fixed_flags, 1}};
}

os::UniqueFd fresh_eventfd() {
  return os::EventFd::create().value().dup().value();
}
os::UniqueFd not_an_eventfd() {
  return os::UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

int code_of(const Result<>& result) {
  return result ? 0 : result.error().code;
}

class PciIrqSet : public testing::Test {
 public:
  test::FakeWatcher watcher;
  IrqSet irqs{pci_infos(), &watcher};
  test::IrqClient client{irqs};
};

TEST_F(PciIrqSet, C36_is_checked_for_whoever_calls_it) {
  EXPECT_EQ(code_of(client.none(trigger, 5)), EINVAL);
  EXPECT_EQ(code_of(client.none(trigger, msi, 4)), EINVAL);
  EXPECT_EQ(code_of(client.none(trigger | 1U << 8, msi)), EINVAL);
}

TEST_F(PciIrqSet, exactly_one_action_is_needed) {
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(code_of(client.none(0, intx)), ENOTTY);
  EXPECT_EQ(code_of(client.none(mask | unmask, intx)), ENOTTY);
  EXPECT_EQ(code_of(client.none(trigger | unmask, intx)), ENOTTY);
}

TEST_F(PciIrqSet, an_index_without_vectors_takes_nothing) {
  IrqSet bare({{level_flags, 0}}, &watcher);
  test::IrqClient bare_client(bare);
  EXPECT_EQ(code_of(bare_client.listen(0)), EINVAL);
  EXPECT_EQ(code_of(bare_client.disable(0)), EINVAL);
}

TEST_F(PciIrqSet, only_maskable_indexes_take_mask_and_unmask) {
  for (const std::uint32_t index : {msi, msix, err, req}) {
    EXPECT_EQ(code_of(client.none(mask, index)), ENOTTY) << index;
    EXPECT_EQ(code_of(client.none(unmask, index)), ENOTTY) << index;
  }
}

TEST_F(PciIrqSet, mask_and_unmask_need_an_enabled_interrupt) {
  EXPECT_EQ(code_of(client.none(mask, intx)), EINVAL);
  EXPECT_EQ(code_of(client.none(unmask, intx)), EINVAL);
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(code_of(client.none(mask, intx)), 0);
  EXPECT_EQ(code_of(client.none(unmask, intx)), 0);
  EXPECT_EQ(code_of(client.none(mask, intx, 0, 0)), EINVAL);
  EXPECT_EQ(code_of(client.none(unmask, intx, 0, 0)), EINVAL);
}

TEST_F(PciIrqSet, mask_by_eventfd_is_enotty) {
  ASSERT_TRUE(client.listen(intx));
  EXPECT_EQ(code_of(client.eventfd(mask, intx, 0, fresh_eventfd())), ENOTTY);
}

TEST_F(PciIrqSet, an_index_without_the_eventfd_flag_takes_none) {
  IrqSet other({{0, 1}}, &watcher, IrqLayout::other);
  test::IrqClient other_client(other);
  EXPECT_EQ(code_of(other_client.listen(0)), ENOTTY);
}

TEST_F(PciIrqSet, intx_msi_and_msix_exclude_one_another) {
  for (const std::uint32_t first : {intx, msi, msix}) {
    ASSERT_TRUE(client.listen(first)) << first;
    for (const std::uint32_t second : {intx, msi, msix}) {
      if (second != first) {
        EXPECT_EQ(code_of(client.listen(second)), EINVAL) << first << " then " << second;
        EXPECT_FALSE(irqs.enabled(second));
      }
    }
    EXPECT_TRUE(client.listen(req)) << "a notification excludes nothing";
    ASSERT_TRUE(client.disable(first));
  }
}

TEST_F(PciIrqSet, another_layout_excludes_nothing) {
  IrqSet other({{fixed_flags, 1}, {fixed_flags, 1}, {fixed_flags, 1}}, &watcher, IrqLayout::other);
  test::IrqClient other_client(other);
  for (const std::uint32_t index : {0U, 1U, 2U}) EXPECT_TRUE(other_client.listen(index)) << index;
  other.raise(1);
  EXPECT_EQ(other_client.take(0), 0U);
  EXPECT_EQ(other_client.take(1), 1U);
}

TEST_F(PciIrqSet, count_0_disables_what_is_enabled_and_is_einval_otherwise) {
  for (const std::uint32_t index : {intx, msi, msix, err, req}) {
    EXPECT_EQ(code_of(client.disable(index)), EINVAL) << index;
    ASSERT_TRUE(client.listen(index)) << index;
    EXPECT_TRUE(irqs.enabled(index)) << index;
    EXPECT_EQ(code_of(client.disable(index)), 0) << index;
    EXPECT_FALSE(irqs.enabled(index)) << index;
    irqs.raise(index);
    EXPECT_EQ(client.take(index), 0U) << index;
    irqs.lower(index);
  }
}

TEST_F(PciIrqSet, each_raise_of_an_edge_signals_once) {
  ASSERT_TRUE(client.listen(msix, 0, 3));
  irqs.raise(msix, 1);
  irqs.raise(msix, 1);
  irqs.raise(msix, 2);
  irqs.lower(msix, 2);
  EXPECT_EQ(client.take(msix, 0), 0U);
  EXPECT_EQ(client.take(msix, 1), 2U);
  EXPECT_EQ(client.take(msix, 2), 1U);
}

TEST_F(PciIrqSet, a_vector_without_eventfd_is_skipped) {
  ASSERT_TRUE(client.listen(msix, 0, 2));
  ASSERT_EQ(code_of(client.eventfd(trigger, msix, 1, {})), 0);
  irqs.raise(msix, 1);
  irqs.raise(msix, 7);
  ASSERT_TRUE(client.listen(msix, 1, 1));
  EXPECT_EQ(client.take(msix, 1), 0U) << "an edge that nobody heard was kept";
}

TEST_F(PciIrqSet, numbers_that_the_device_does_not_have_are_ignored) {
  ASSERT_TRUE(client.listen(msix, 0, 8));
  irqs.raise(msix, 8);
  irqs.raise(5, 0);
  irqs.raise(UINT32_MAX, UINT32_MAX);
  irqs.lower(UINT32_MAX, UINT32_MAX);
  irqs.pulse(intx, 1);
  EXPECT_FALSE(irqs.enabled(UINT32_MAX));
  for (std::uint32_t vector = 0; vector < 8; ++vector) EXPECT_EQ(client.take(msix, vector), 0U);
}

TEST_F(PciIrqSet, an_empty_descriptor_enables_msix_silently) {
  // QEMU enables MSI-X so, before it knows any vector.
  EXPECT_EQ(code_of(client.eventfd(trigger, msix, 0, {})), 0);
  EXPECT_TRUE(irqs.enabled(msix));
  irqs.raise(msix, 0);
  EXPECT_EQ(code_of(client.disable(msix)), 0);
  EXPECT_TRUE(client.listen(msix, 0, 8));
}

TEST_F(PciIrqSet, an_empty_descriptor_enables_intx_without_a_trigger) {
  EXPECT_EQ(code_of(client.eventfd(trigger, intx, 0, {})), 0);
  EXPECT_TRUE(irqs.enabled(intx));
  EXPECT_EQ(code_of(client.listen(msi)), EINVAL);
}

TEST_F(PciIrqSet, a_block_cannot_be_enabled_with_no_vector) {
  EXPECT_EQ(code_of(client.eventfds(trigger, msi, 0, {})), ERANGE);
  EXPECT_FALSE(irqs.enabled(msi));
  ASSERT_TRUE(client.listen(msi));
  EXPECT_EQ(code_of(client.eventfds(trigger, msi, 0, {})), 0) << "nothing to do once it is enabled";
}

TEST_F(PciIrqSet, noresize_keeps_a_block_at_the_size_it_was_enabled_with) {
  ASSERT_TRUE(client.listen(msi, 0, 2));
  EXPECT_TRUE(client.listen(msi, 0, 2));
  EXPECT_TRUE(client.listen(msi, 1, 1));
  EXPECT_EQ(code_of(client.listen(msi, 2, 1)), EINVAL);
  EXPECT_EQ(code_of(client.listen(msi, 0, 3)), EINVAL);
  ASSERT_TRUE(client.disable(msi));
  EXPECT_TRUE(client.listen(msi, 0, 4));
}

TEST_F(PciIrqSet, without_noresize_a_block_grows) {
  // A client that can send few descriptors with one message sets up MSI-X in pieces.
  ASSERT_TRUE(client.listen(msix, 0, 2));
  ASSERT_TRUE(client.listen(msix, 2, 4));
  ASSERT_TRUE(client.listen(msix, 6, 2));
  for (std::uint32_t vector = 0; vector < 8; ++vector) irqs.raise(msix, vector);
  for (std::uint32_t vector = 0; vector < 8; ++vector) EXPECT_EQ(client.take(msix, vector), 1U) << vector;
}

std::vector<os::UniqueFd> good_bad_good() {
  std::vector<os::UniqueFd> descriptors;
  descriptors.push_back(fresh_eventfd());
  descriptors.push_back(not_an_eventfd());
  descriptors.push_back(fresh_eventfd());
  return descriptors;
}

TEST_F(PciIrqSet, a_bad_descriptor_leaves_a_block_disabled_that_the_request_would_have_enabled) {
  EXPECT_EQ(code_of(client.eventfds(trigger, msix, 0, good_bad_good())), EINVAL);
  EXPECT_FALSE(irqs.enabled(msix));
  EXPECT_TRUE(client.listen(msi));
}

TEST_F(PciIrqSet, a_bad_descriptor_clears_all_vectors_of_the_block_and_no_other) {
  ASSERT_TRUE(client.listen(msix, 0, 8));
  EXPECT_EQ(code_of(client.eventfds(trigger, msix, 2, good_bad_good())), EINVAL);
  EXPECT_TRUE(irqs.enabled(msix));
  for (std::uint32_t vector = 0; vector < 8; ++vector) irqs.raise(msix, vector);
  for (std::uint32_t vector = 0; vector < 8; ++vector)
    EXPECT_EQ(client.take(msix, vector), vector >= 2 && vector <= 4 ? 0U : 1U) << vector;
}

TEST_F(PciIrqSet, a_bad_descriptor_leaves_intx_and_notifications_as_they_were) {
  for (const std::uint32_t index : {intx, req}) {
    EXPECT_EQ(code_of(client.eventfd(trigger, index, 0, not_an_eventfd())), EINVAL);
    EXPECT_FALSE(irqs.enabled(index));
    ASSERT_TRUE(client.listen(index));
    EXPECT_EQ(code_of(client.eventfd(trigger, index, 0, not_an_eventfd())), EINVAL);
    irqs.raise(index);
    EXPECT_EQ(client.take(index), 1U) << index;
  }
}

TEST_F(PciIrqSet, trigger_by_none_and_bool_is_a_loop_back_test) {
  ASSERT_TRUE(client.listen(msix, 0, 4));
  EXPECT_EQ(code_of(client.none(trigger, msix, 1, 2)), 0);
  EXPECT_EQ(code_of(client.bools(trigger, msix, 0, {true, false, true, false})), 0);
  constexpr std::array expected{1U, 1U, 2U, 0U};
  for (std::uint32_t vector = 0; vector < 4; ++vector) EXPECT_EQ(client.take(msix, vector), expected[vector]);
}

TEST_F(PciIrqSet, loop_back_skips_silent_vectors) {
  ASSERT_TRUE(client.listen(msix, 1, 1));
  EXPECT_EQ(code_of(client.none(trigger, msix, 0, 8)), 0);
  EXPECT_EQ(client.take(msix, 1), 1U);
}

TEST_F(PciIrqSet, loop_back_needs_an_enabled_interrupt) {
  for (const std::uint32_t index : {intx, msi, msix, err}) {
    EXPECT_EQ(code_of(client.none(trigger, index)), EINVAL) << index;
  }
  for (const std::uint32_t index : {intx, msi, msix}) {
    EXPECT_EQ(code_of(client.bools(trigger, index, 0, {true})), EINVAL) << index;
  }
}

TEST_F(PciIrqSet, a_notification_is_enabled_exactly_while_it_has_an_eventfd) {
  ASSERT_TRUE(client.listen(req));
  irqs.raise(req);
  irqs.raise(req);
  EXPECT_EQ(client.take(req), 2U);
  EXPECT_EQ(code_of(client.none(trigger, req)), 0);
  EXPECT_EQ(code_of(client.bools(trigger, req, 0, {true})), 0);
  EXPECT_EQ(code_of(client.bools(trigger, req, 0, {false})), 0);
  EXPECT_EQ(client.take(req), 2U);
  EXPECT_EQ(code_of(client.eventfd(trigger, req, 0, {})), 0);
  EXPECT_FALSE(irqs.enabled(req));
  EXPECT_EQ(code_of(client.eventfd(trigger, req, 0, {})), 0) << "clearing twice";
}

TEST_F(PciIrqSet, a_notification_needs_a_value_for_bool_and_eventfd) {
  EXPECT_EQ(code_of(client.bools(trigger, req, 0, {})), EINVAL);
  EXPECT_EQ(code_of(client.eventfds(trigger, req, 0, {})), EINVAL);
}

TEST_F(PciIrqSet, disable_all_forgets_every_index) {
  ASSERT_TRUE(client.listen(intx));
  ASSERT_TRUE(client.listen(req));
  ASSERT_EQ(code_of(client.eventfd(unmask, intx, 0, fresh_eventfd())), 0);
  irqs.disable_all();
  EXPECT_FALSE(irqs.enabled(intx));
  EXPECT_FALSE(irqs.enabled(req));
  EXPECT_EQ(watcher.watched(), 0U);
  irqs.raise(intx);
  irqs.raise(req);
  EXPECT_EQ(client.take(intx), 0U);
  EXPECT_EQ(client.take(req), 0U);
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST_F(PciIrqSet, a_replaced_eventfd_is_closed_when_set_returns) {
  const int first = fresh_eventfd().get();  // the number that the next descriptor gets
  os::UniqueFd descriptor = fresh_eventfd();
  ASSERT_EQ(descriptor.get(), first);
  ASSERT_EQ(code_of(client.eventfd(trigger, msix, 0, std::move(descriptor))), 0);
  EXPECT_TRUE(is_open(first));
  ASSERT_EQ(code_of(client.eventfd(trigger, msix, 0, {})), 0);
  EXPECT_FALSE(is_open(first));
}

TEST_F(PciIrqSet, descriptors_of_a_refused_request_are_left_or_closed) {
  std::vector<os::UniqueFd> descriptors;
  descriptors.push_back(fresh_eventfd());
  const int number = descriptors.front().get();
  IrqRequest request{
      .flags = abi::vfio_irq_set_data_eventfd | mask, .index = intx, .count = 1, .eventfds = descriptors};
  ASSERT_EQ(code_of(irqs.set(request)), EINVAL);
  descriptors.clear();
  EXPECT_FALSE(is_open(number));
}

TEST_F(PciIrqSet, raising_never_waits_for_a_blocking_eventfd_at_its_maximum) {
  os::UniqueFd blocking(::eventfd(0, EFD_CLOEXEC));
  const std::uint64_t maximum = UINT64_MAX - 1;
  ASSERT_EQ(::write(blocking.get(), &maximum, sizeof maximum), 8);
  ASSERT_EQ(code_of(client.eventfd(trigger, msix, 0, blocking.dup().value())), 0);
  irqs.raise(msix);
  std::uint64_t count = 0;
  ASSERT_EQ(::read(blocking.get(), &count, sizeof count), 8);
  EXPECT_GE(count, maximum);
}

}  // namespace
}  // namespace umdev::vfio
