// What a PCI function with MSI-X has from the framework: the table in front of its BAR, masks, enable bits,
// and function level reset.
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <vector>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"
#include "umdev/pci/pci_device.h"

namespace umdev::pci {
namespace {

using test::error_of;
using test::FakeAccess;
using test::FakeUser;
using test::Outcome;
using test::read_bytes;
using test::read_register;
using test::write_register;

constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;
constexpr std::uint32_t msix = abi::vfio_pci_msix_irq_index;
constexpr std::uint64_t table = 0x800;
constexpr std::uint64_t pending_bits = 0xc00;

ModelRef make_model() {
  ConfigLayout layout(abi::pci_cfg_space_exp_size);
  layout.identify({.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000});
  layout.add_bar(0, {.kind = Bar::Kind::memory64, .size = 4096});
  layout.add_power_management();
  layout.add_msi({});
  layout.add_msix({.vectors = 3, .table_offset = table, .pba_offset = pending_bits});
  layout.add_express({});
  layout.add_error_reporting();
  return share(Model(std::move(layout)));
}

// Memory behind the BAR; a reset waits for the test.
class Function final : public PciDevice {
 public:
  Function() : PciDevice(make_model()) { std::iota(memory.begin(), memory.end(), std::uint8_t{1}); }
  std::string_view name() const override { return "test"; }
  void reset(vfio::User& user, Done<> done) override {
    if (holds_reset)
      held = std::move(done);
    else
      PciDevice::reset(user, std::move(done));
  }

  using PciDevice::load_msix;
  using PciDevice::raise_irq;
  using PciDevice::save_msix;
  using PciDevice::set_msix;

  std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(4096);
  bool holds_reset = false;
  Done<> held;

 private:
  Result<> bar_read(vfio::User&, std::uint32_t, std::uint64_t offset, Bytes into) override {
    std::ranges::copy(std::as_bytes(std::span(memory)).subspan(offset, into.size()), into.begin());
    return {};
  }
  Result<> bar_write(vfio::User&, std::uint32_t, std::uint64_t offset, ConstBytes from) override {
    std::ranges::copy(from, std::as_writable_bytes(std::span(memory)).begin() + static_cast<long>(offset));
    return {};
  }
};

class MsixDevice : public testing::Test {
 public:
  MsixDevice() {
    Outcome<> outcome;
    device.open_device(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  ~MsixDevice() override {
    Outcome<> outcome;
    device.close_device(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }

  // SET_IRQS by way of the device, as the core brings it.
  void listen(std::uint32_t index, std::uint32_t count) {
    std::vector<os::UniqueFd> descriptors;
    events.clear();
    for (std::uint32_t vector = 0; vector < count; ++vector) {
      events.push_back(os::EventFd::create().value());
      descriptors.push_back(events.back().dup().value());
    }
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                             .index = index,
                             .count = count,
                             .eventfds = descriptors};
    ASSERT_TRUE(device.set_irqs(user, request));
  }
  void disable(std::uint32_t index) {
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger,
                             .index = index};
    ASSERT_TRUE(device.set_irqs(user, request));
  }
  void write_control(std::uint16_t value) {
    ASSERT_TRUE(write_register(device, user, config, device.layout().msix_control(), value));
  }
  std::uint16_t control() {
    return *read_register<std::uint16_t>(device, user, config, device.layout().msix_control());
  }
  void mask(std::uint32_t vector, bool masked) {
    ASSERT_TRUE(write_register<std::uint32_t>(device, user, 0, table + 16 * vector + 12, masked));
  }
  std::uint64_t pending() { return *read_register<std::uint64_t>(device, user, 0, pending_bits); }

  Function device;
  FakeUser user{device};
  std::vector<os::EventFd> events;
};

TEST_F(MsixDevice, the_driver_never_sees_accesses_to_table_and_pending_bits) {
  const std::vector<std::byte> ones(4096, std::byte{0xff});
  ASSERT_TRUE(test::write_bytes(device, user, 0, 0, ones));
  for (std::size_t at = 0; at < 4096; ++at) {
    const bool kept = (at >= table && at < table + 48) || (at >= pending_bits && at < pending_bits + 8);
    EXPECT_EQ(device.memory[at] == 0xff, !kept || (at + 1) % 256 == 255) << at;
  }
  const auto read = read_bytes(device, user, 0, 0, 4096);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[table - 1], std::byte{0xff});
  EXPECT_EQ((*read)[table], std::byte{0xfc}) << "an address has no low bits";
  EXPECT_EQ((*read)[table + 13], std::byte{0}) << "reserved";
  EXPECT_EQ((*read)[pending_bits], std::byte{0});
  EXPECT_EQ((*read)[pending_bits + 8], std::byte{0xff});
}

TEST_F(MsixDevice, vectors_are_set_up_by_set_irqs_and_send_with_the_table_untouched) {
  device.raise_irq(msix, 0);
  listen(msix, 3);
  device.raise_irq(msix, 2);
  device.raise_irq(msix, 3);
  EXPECT_EQ(events[0].take(), 0U) << "it was not enabled then";
  EXPECT_EQ(events[2].take(), 1U);
  EXPECT_EQ(pending(), 0U);
}

TEST_F(MsixDevice, a_vector_that_is_masked_in_the_table_is_delivered_at_unmask) {
  listen(msix, 3);
  mask(1, true);
  device.raise_irq(msix, 1);
  device.raise_irq(msix, 1);
  EXPECT_EQ(events[1].take(), 0U);
  EXPECT_EQ(pending(), 2U);
  ASSERT_TRUE(write_register<std::uint64_t>(device, user, 0, pending_bits, 0)) << "ignored";
  EXPECT_EQ(pending(), 2U);
  mask(1, false);
  EXPECT_EQ(events[1].take(), 1U);
  EXPECT_EQ(pending(), 0U);
}

TEST_F(MsixDevice, the_function_mask_holds_back_all_and_delivers_at_unmask) {
  listen(msix, 2);
  write_control(abi::pci_msix_flags_enable | abi::pci_msix_flags_maskall);
  device.raise_irq(msix, 0);
  device.raise_irq(msix, 1);
  mask(1, true);
  EXPECT_EQ(pending(), 3U);
  write_control(abi::pci_msix_flags_enable);
  EXPECT_EQ(events[0].take(), 1U);
  EXPECT_EQ(events[1].take(), 0U);
  EXPECT_EQ(pending(), 2U);
}

TEST_F(MsixDevice, enable_bits_follow_set_irqs) {
  const std::uint16_t msi_control = device.layout().msi_control();
  listen(msix, 1);
  EXPECT_EQ(control(), 2 | abi::pci_msix_flags_enable);
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, msi_control) & 1, 0);
  disable(msix);
  EXPECT_EQ(control(), 2);
  listen(msi, 1);
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, msi_control) & 1, 1);
  disable(msi);
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, msi_control) & 1, 0);
}

TEST_F(MsixDevice, reset_unmasks_and_forgets_but_keeps_the_eventfds) {
  listen(msix, 1);
  mask(0, true);
  device.raise_irq(msix, 0);
  Outcome<> outcome;
  device.reset(user, outcome.done());
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(pending(), 0U);
  EXPECT_EQ(events[0].take(), 0U);
  device.raise_irq(msix, 0);
  EXPECT_EQ(events[0].take(), 1U);
}

TEST_F(MsixDevice, function_level_reset_is_a_reset_and_the_write_waits_for_it) {
  const std::uint16_t control_register = device.layout().function_level_reset();
  ASSERT_NE(control_register, 0);
  constexpr std::uint16_t power = abi::pci_std_header_sizeof + abi::pci_pm_ctrl;  // the first capability
  ASSERT_TRUE(write_register<std::uint16_t>(device, user, config, power, 3));
  ASSERT_EQ(*read_register<std::uint16_t>(device, user, config, power) & 3, 3);
  ASSERT_TRUE(write_register<std::uint32_t>(device, user, config, abi::pci_base_address_0, 0xfeb00000));
  device.holds_reset = true;
  FakeAccess access(user, config, control_register, std::vector{std::byte{0x10}, std::byte{0x80}});
  device.write(access.write_request());
  EXPECT_FALSE(access.completed());
  device.holds_reset = false;
  device.PciDevice::reset(user, std::move(device.held));
  EXPECT_EQ(access.result().value(), 2U);
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, power) & 3, 0) << "power-on";
  EXPECT_EQ(*read_register<std::uint32_t>(device, user, config, abi::pci_base_address_0), 0xfeb00004U)
      << "restored, as a kernel does it";
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, control_register) & 0x8000, 0);
}

TEST_F(MsixDevice, only_a_write_of_the_bit_resets_and_its_error_is_the_writes) {
  const std::uint16_t control_register = device.layout().function_level_reset();
  device.holds_reset = true;
  ASSERT_TRUE(write_register<std::uint16_t>(device, user, config, control_register, 0x7fff));
  ASSERT_TRUE(write_register<std::uint8_t>(device, user, config, control_register, 0xff));
  ASSERT_TRUE(write_register<std::uint16_t>(device, user, config, control_register + 2U, 0xffff));
  EXPECT_FALSE(device.held);
  FakeAccess access(user, config, control_register + 1U, std::vector{std::byte{0x80}});
  device.write(access.write_request());
  ASSERT_TRUE(device.held);
  std::exchange(device.held, {})(fail(EIO, "it does not reset"));
  EXPECT_EQ(error_of(access.result()), EIO);
}

TEST_F(MsixDevice, table_and_pending_bits_move) {
  listen(msix, 3);
  mask(1, true);
  device.raise_irq(msix, 1);
  StreamWriter writer("test", 4096);
  device.save_msix(writer);
  writer.finish();
  Function other;
  auto reader = StreamReader::open(*writer.bytes(), "test");
  ASSERT_TRUE(reader);
  auto table_of_other = other.load_msix(*reader);
  ASSERT_TRUE(table_of_other);
  other.set_msix(*std::move(table_of_other));
  EXPECT_EQ(*read_register<std::uint64_t>(other, user, 0, pending_bits), 2U);
  EXPECT_EQ(*read_register<std::uint32_t>(other, user, 0, table + 28), 1U);
}

}  // namespace
}  // namespace umdev::pci
