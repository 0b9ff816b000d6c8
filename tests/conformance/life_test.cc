// Reset, close, removal, in any state.
#include <algorithm>

#include "tests/conformance/devices.h"
#include "umdev/abi/pci.h"
#include "umdev/os/event_fd.h"

namespace umdev::conformance {
namespace {

constexpr std::uint32_t enable = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t fire = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger;

// A byte of ones, wherever the device takes it.
void scribble(vfio::DeviceFile& file, std::uint32_t region, std::uint64_t offset) {
  const auto written = test::write_file(file, region, offset, std::vector<std::byte>(1, std::byte{0xff}));
  EXPECT_TRUE(written || written.error().code == EINVAL);
}

TEST_P(Conformance, reset_works_if_the_device_says_so) {
  const bool resets = (file().info()->flags & abi::vfio_device_flags_reset) != 0;
  for (int round = 0; round < 3; ++round) EXPECT_EQ(reset() == 0, resets);
}

// What of it a reset brings back and what it leaves is the device's: vfio-pci leaves what a user has set up.
TEST_P(Conformance, reset_brings_config_space_to_one_state_and_keeps_interrupts) {
  if (!is_pci() || (file().info()->flags & abi::vfio_device_flags_reset) == 0) GTEST_SKIP() << "no reset";
  const std::vector<std::byte> fresh = config();
  const std::vector<std::byte> ones(fresh.size(), std::byte{0xff});
  ASSERT_TRUE(test::write_file(file(), abi::vfio_pci_config_region_index, 0, ones));
  const auto indexes = indexes_with_vectors();
  if (!indexes.empty()) {
    ASSERT_EQ(set_irqs(enable, indexes.front(), 0, 1), 0);
  }
  ASSERT_EQ(reset(), 0);
  const std::vector<std::byte> once = config();
  EXPECT_TRUE(std::equal(once.begin(), once.begin() + abi::pci_command, fresh.begin())) << "who it is";
  ASSERT_EQ(reset(), 0);
  EXPECT_EQ(config(), once);
  if (!indexes.empty()) {
    EXPECT_EQ(set_irqs(fire, indexes.front(), 0, 1), 0) << "still enabled";
  }
}

TEST_P(Conformance, a_close_with_everything_set_up_leaves_nothing_behind) {
  const std::vector<std::byte> fresh = is_pci() ? config() : std::vector<std::byte>();
  for (int round = 0; round < 3; ++round) {
    for (const std::uint32_t index : indexes_with_vectors()) set_irqs(enable, index, 0, 1);
    for (std::uint32_t region = 0; region < file().info()->num_regions; ++region)
      for (std::uint64_t offset = 0; offset < std::min<std::uint64_t>(region_size(region), 64); ++offset)
        scribble(file(), region, offset);
    reopen();
    if (is_pci()) {
      EXPECT_EQ(config(), fresh);
    }
    for (const std::uint32_t index : indexes_with_vectors())
      EXPECT_EQ(set_irqs(fire, index, 0, 1), EINVAL) << "interrupt " << index << " of the last user";
  }
}

TEST_P(Conformance, a_second_file_of_the_container_is_the_same_device) {
  auto second = test::MdevWorld::get_device(*session.group, uuid.to_string()).value();
  const auto indexes = indexes_with_vectors();
  if (indexes.empty()) GTEST_SKIP() << "no interrupt that would show it";
  ASSERT_EQ(set_irqs(enable, indexes.front(), 0, 1), 0);
  session.device = std::move(second);
  world.host.run();
  EXPECT_EQ(set_irqs(fire, indexes.front(), 0, 1), 0) << "the first one's close was not the last";
}

TEST_P(Conformance, removal_waits_for_the_user_and_asks_it_to_let_go) {
  const bool is_function = is_pci();
  const auto irq = file().irq_info(abi::vfio_pci_req_irq_index);
  const bool asks = is_function && irq && irq->count > 0;
  os::EventFd event = os::EventFd::create().value();
  if (asks) {
    std::vector<os::UniqueFd> eventfds;
    eventfds.push_back(event.dup().value());
    vfio::IrqRequest request{
        .flags = enable, .index = abi::vfio_pci_req_irq_index, .count = 1, .eventfds = eventfds};
    ASSERT_TRUE(file().set_irqs(request));
  }
  begin_removal(RemovePolicy::wait);
  if (asks) {
    ASSERT_TRUE(run_until([&] { return event.take() >= 1U; }));
  }
  EXPECT_FALSE(removed.is_done());
  if (asks) {
    const auto asked_again = [&] {
      world.host.advance(std::chrono::seconds(11));
      return event.take() >= 1U;
    };
    ASSERT_TRUE(run_until(asked_again));
  }
  if (is_function) {
    EXPECT_EQ(read(abi::vfio_pci_config_region_index, 0, 4), 0) << "it works until it lets go";
  }
  EXPECT_FALSE(removed.is_done());
  close();
  EXPECT_TRUE(run_until([&] { return removed.succeeded(); }));
}

TEST_P(Conformance, a_device_that_is_taken_away_answers_enodev) {
  begin_removal(RemovePolicy::force);
  const auto has_gone = [&] {
    world.host.advance(std::chrono::seconds(20));
    return read(0, 0, 1) == ENODEV;
  };
  EXPECT_TRUE(run_until(has_gone));
  EXPECT_EQ(test::error_of(file().info()), ENODEV);
  EXPECT_EQ(set_irqs(enable, 0, 0, 1), ENODEV);
  EXPECT_EQ(reset(), ENODEV);
  close();
  EXPECT_TRUE(run_until([&] { return removed.succeeded(); }));
}

TEST_P(Conformance, instances_do_not_see_each_other) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  const Uuid other_uuid = test::MdevWorld::uuid(2);
  ASSERT_EQ(create(other_uuid), 0);
  auto other = world.open_instance(other_uuid);
  const std::vector<std::byte> fresh = config();
  const std::vector<std::byte> ones(fresh.size(), std::byte{0xff});
  ASSERT_TRUE(test::write_file(*other.device, abi::vfio_pci_config_region_index, 0, ones));
  EXPECT_EQ(config(), fresh);
  other = {};
  world.host.run();
}

}  // namespace
}  // namespace umdev::conformance
