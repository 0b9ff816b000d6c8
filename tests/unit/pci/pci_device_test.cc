#include "umdev/pci/pci_device.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"

namespace umdev::pci {
namespace {

using test::error_of;
using test::FakeUser;
using test::Outcome;
using test::read_bytes;
using test::read_register;
using test::write_register;

constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
constexpr std::uint32_t rom = abi::vfio_pci_rom_region_index;
constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;
constexpr std::uint32_t req = abi::vfio_pci_req_irq_index;
constexpr std::uint64_t memory_size = 4096;

ModelRef make_model() {
  ConfigLayout layout;
  layout.identify({.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000});
  layout.add_bar(0, {.kind = Bar::Kind::memory32, .size = memory_size});
  layout.add_bar(2, {.kind = Bar::Kind::memory32, .size = 128});
  layout.add_rom(2048);
  layout.add_interrupt_pin(1);
  layout.add_msi({.vectors = 4});
  layout.add_msix({.vectors = 3, .table_bar = 2, .table_offset = 8, .pba_bar = 2, .pba_offset = 64});
  return share(Model(std::move(layout)));
}

// Memory behind BAR 0, and a record of everything that it is asked.
class TestDevice final : public PciDevice {
 public:
  explicit TestDevice(ModelRef model = make_model()) : PciDevice(std::move(model)) {}
  std::string_view name() const override { return "test"; }

  using PciDevice::config_value;
  using PciDevice::lower_irq;
  using PciDevice::raise_irq;
  using PciDevice::set_config_value;

  std::vector<std::string> calls;
  std::vector<ConfigChange> changes;
  std::vector<std::byte> memory = std::vector<std::byte>(memory_size);
  int error = 0;

 private:
  void record(std::string call) {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0) << call;
    calls.push_back(std::move(call));
  }
  Result<> bar_read(vfio::User&, std::uint32_t bar, std::uint64_t offset, Bytes into) override {
    record("read " + std::to_string(bar) + " " + std::to_string(offset) + "+" + std::to_string(into.size()));
    if (error != 0) return fail(error, "the test said so");
    std::ranges::copy(Bytes(memory).subspan(offset, into.size()), into.begin());
    return {};
  }
  Result<> bar_write(vfio::User&, std::uint32_t bar, std::uint64_t offset, ConstBytes from) override {
    record("write " + std::to_string(bar) + " " + std::to_string(offset) + "+" + std::to_string(from.size()));
    if (error != 0) return fail(error, "the test said so");
    std::ranges::copy(from, memory.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  void function_reset() override { record("reset"); }
  void config_changed(vfio::User&, const ConfigChange& change) override {
    record("changed");
    changes.push_back(change);
  }
};

class PciDeviceTest : public testing::Test {
 public:
  PciDeviceTest() { open(user); }
  ~PciDeviceTest() override {
    if (opened) close(user);
  }
  void open(FakeUser& who) {
    Outcome<> outcome;
    device.open_device(who, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  void close(FakeUser& who) {
    Outcome<> outcome;
    device.close_device(who, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
    if (&who == &user) opened = false;
  }

  TestDevice device;
  FakeUser user{device};
  bool opened = true;
};

TEST_F(PciDeviceTest, is_a_pci_device_that_can_be_reset) {
  const vfio::DeviceInfo info = device.info();
  EXPECT_EQ(info.flags, abi::vfio_device_flags_pci | abi::vfio_device_flags_reset);
  EXPECT_EQ(info.num_regions, 9U);
  EXPECT_EQ(info.num_irqs, 5U);
}

TEST_F(PciDeviceTest, B8_regions_lie_at_their_index_shifted_by_40) {
  constexpr std::uint32_t read_write = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
  const struct {
    std::uint64_t size;
    std::uint32_t flags;
  } regions[] = {{4096, read_write},
                 {0, 0},
                 {128, read_write},
                 {0, 0},
                 {0, 0},
                 {0, 0},
                 {2048, abi::vfio_region_info_flag_read},
                 {256, read_write},
                 {0, 0}};
  for (std::uint32_t index = 0; index < std::size(regions); ++index) {
    const auto region = device.region_info(index);
    ASSERT_TRUE(region) << index;
    EXPECT_EQ(region->size, regions[index].size) << index;
    EXPECT_EQ(region->flags, regions[index].flags) << index;
    EXPECT_EQ(region->offset, std::uint64_t{index} << 40) << index;
  }
  EXPECT_EQ(error_of(device.region_info(9)), EINVAL);
  EXPECT_EQ(error_of(device.region_info(~0U)), EINVAL);
}

TEST_F(PciDeviceTest, interrupts_follow_pin_and_capabilities) {
  const struct {
    std::uint32_t count, flags;
  } indexes[] = {{1, 7}, {4, 9}, {3, 9}};
  for (std::uint32_t index = 0; index < std::size(indexes); ++index) {
    EXPECT_EQ(device.irq_info(index)->count, indexes[index].count) << index;
    EXPECT_EQ(device.irq_info(index)->flags, indexes[index].flags) << index;
  }
  EXPECT_EQ(error_of(device.irq_info(abi::vfio_pci_err_irq_index)), EINVAL) << "no error reporting";
  EXPECT_EQ(device.irq_info(req)->count, 1U);
  EXPECT_EQ(error_of(device.irq_info(5)), EINVAL);
}

TEST_F(PciDeviceTest, B5_B6_bar_accesses_arrive_with_their_offset_and_size) {
  ASSERT_TRUE(write_register<std::uint64_t>(device, user, 0, 0x10, 0x0123456789abcdef));
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, 0, 0x12), 0x89ab);
  EXPECT_EQ(device.calls, (std::vector<std::string>{"write 0 16+8", "read 0 18+2"}));
}

TEST_F(PciDeviceTest, B5_B6_the_error_of_the_driver_is_the_error_of_the_access) {
  device.error = EIO;
  EXPECT_EQ(error_of(read_register<std::uint32_t>(device, user, 0, 0)), EIO);
  EXPECT_EQ(error_of(write_register<std::uint32_t>(device, user, 0, 0, 1)), EIO);
}

TEST_F(PciDeviceTest, what_does_not_lie_inside_a_region_never_reaches_the_driver) {
  const struct {
    std::uint32_t region;
    std::uint64_t offset;
    std::size_t size;
  } accesses[] = {{0, 4096, 1},     {0, 4093, 4}, {0, ~0ULL, 1}, {0, ~0ULL - 1, 8}, {1, 0, 1},
                  {2, 127, 2},      {3, 0, 4},    {5, 0, 1},     {rom, 2048, 1},    {config, 256, 1},
                  {config, 253, 4}, {8, 0, 1},    {9, 0, 1},     {~0U, 0, 4}};
  for (const auto& access : accesses) {
    EXPECT_EQ(error_of(read_bytes(device, user, access.region, access.offset, access.size)), EINVAL)
        << access.region << " " << access.offset;
    const std::vector<std::byte> data(access.size);
    EXPECT_EQ(error_of(test::write_bytes(device, user, access.region, access.offset, data)), EINVAL)
        << access.region << " " << access.offset;
  }
  EXPECT_TRUE(device.calls.empty());
}

TEST_F(PciDeviceTest, the_rom_is_read_as_region_6_and_never_written) {
  EXPECT_TRUE(read_bytes(device, user, rom, 0, 2048));
  EXPECT_EQ(error_of(write_register<std::uint8_t>(device, user, rom, 0, 1)), EINVAL);
  EXPECT_EQ(device.calls, std::vector<std::string>{"read 6 0+2048"});
}

TEST_F(PciDeviceTest, config_space_is_read_and_written_here) {
  EXPECT_EQ(*read_register<std::uint32_t>(device, user, config, 0), 0x56781234U);
  ASSERT_TRUE(write_register<std::uint32_t>(device, user, config, 0x10, 0xffffffff));
  EXPECT_EQ(*read_register<std::uint32_t>(device, user, config, 0x10), 0xfffff000U);
  ASSERT_TRUE(write_register<std::uint32_t>(device, user, config, 0, 0)) << "ignored";
  EXPECT_EQ(*read_register<std::uint32_t>(device, user, config, 0), 0x56781234U);
  EXPECT_EQ(read_bytes(device, user, config, 0, 256)->size(), 256U);
  device.set_config_value<std::uint16_t>(abi::pci_status, 0x0008);
  EXPECT_EQ(*read_register<std::uint16_t>(device, user, config, abi::pci_status), 0x0008);
}

TEST_F(PciDeviceTest, the_driver_hears_of_a_control_register_with_no_lock_held) {
  const auto msi_at = device.config_value<std::uint8_t>(abi::pci_capability_list);
  ASSERT_TRUE(write_register<std::uint16_t>(device, user, config, msi_at + 2U, 0x0001));
  ASSERT_EQ(device.changes.size(), 1U);
  EXPECT_EQ(device.changes[0].offset, msi_at + 2);
  EXPECT_EQ(device.changes[0].after & 1, 1U);
  ASSERT_TRUE(write_register<std::uint32_t>(device, user, config, msi_at + 4U, 0xfee00000));
  EXPECT_EQ(device.changes.size(), 1U) << "the address is no control register";
}

TEST_F(PciDeviceTest, reset_is_power_on_with_interrupts_low_and_what_is_set_up_kept) {
  ASSERT_TRUE(user.irq().listen(intx));
  ASSERT_TRUE(write_register<std::uint32_t>(device, user, config, 0x10, 0xfebf0000));
  const auto bar = *read_register<std::uint32_t>(device, user, config, 0x10);
  ASSERT_NE(bar & 0xfff00000, 0U);
  device.raise_irq(intx);
  EXPECT_EQ(user.irq().take(intx), 1U);
  Outcome<> outcome;
  device.reset(user, outcome.done());
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(device.calls, std::vector<std::string>{"reset"});
  EXPECT_EQ(*read_register<std::uint32_t>(device, user, config, 0x10), bar);
  ASSERT_TRUE(user.irq().none(abi::vfio_irq_set_action_unmask, intx));
  EXPECT_EQ(user.irq().take(intx), 0U) << "the line is low";
  device.raise_irq(intx);
  EXPECT_EQ(user.irq().take(intx), 1U) << "the eventfd is still there";
}

TEST_F(PciDeviceTest, B10_request_asks_each_user_that_listens) {
  FakeUser silent(device);
  FakeUser second(device);
  open(silent);
  open(second);
  ASSERT_TRUE(user.irq().listen(req));
  ASSERT_TRUE(second.irq().listen(req));
  device.request(1);
  device.request(2);
  EXPECT_EQ(user.irq().take(req), 2U);
  EXPECT_EQ(second.irq().take(req), 2U);
  EXPECT_EQ(silent.irq().take(req), 0U);
  close(silent);
  close(second);
  device.request(3);
  EXPECT_EQ(second.irq().take(req), 0U) << "it is a user no more";
}

TEST_F(PciDeviceTest, interrupts_reach_who_has_enabled_them_and_nobody_else) {
  ASSERT_TRUE(user.irq().listen(msi, 0, 4));
  device.raise_irq(msi, 3);
  device.raise_irq(msi, 4);
  device.raise_irq(intx);
  EXPECT_EQ(user.irq().take(msi, 3), 1U);
  EXPECT_EQ(user.irq().take(msi, 0), 0U);
  close(user);
  device.raise_irq(msi, 3);
  device.lower_irq(intx);
  EXPECT_EQ(user.irq().take(msi, 3), 0U);
}

TEST_F(PciDeviceTest, the_end_of_the_last_user_is_power_on) {
  FakeUser second(device);
  open(second);
  ASSERT_TRUE(write_register<std::uint8_t>(device, user, config, abi::pci_interrupt_line, 11));
  close(second);
  EXPECT_TRUE(device.calls.empty()) << "the other one is still at it";
  EXPECT_EQ(device.config_value<std::uint8_t>(abi::pci_interrupt_line), 11);
  close(user);
  EXPECT_EQ(device.calls, std::vector<std::string>{"reset"});
  EXPECT_EQ(device.config_value<std::uint8_t>(abi::pci_interrupt_line), 0);
}

TEST(PciModel, a_function_without_a_pin_or_capability_has_only_the_request_interrupt) {
  const Model model{ConfigLayout()};
  EXPECT_EQ(model.irq_counts, (std::array<std::uint32_t, 5>{0, 0, 0, 0, 1}));
}

TEST(MappedBars, one_without_memory_is_mapped_as_registers) {
  constexpr std::uint32_t flags =
      abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write | abi::vfio_region_info_flag_mmap;
  ConfigLayout layout;
  layout.add_bar(0, {.kind = Bar::Kind::memory32, .size = memory_size, .region_flags = flags});
  layout.add_bar(1, {.kind = Bar::Kind::memory32, .size = memory_size});
  TestDevice device(share(Model(std::move(layout))));
  FakeUser user(device);
  EXPECT_EQ(device.region_info(0)->flags, flags);
  const auto extents = device.mmap(user, {.region = 0, .offset = 0, .length = memory_size});
  ASSERT_TRUE(extents);
  ASSERT_EQ(extents->size(), 1U);
  EXPECT_EQ(extents->front().fd, -1) << "each access is a read or a write";
  EXPECT_EQ(extents->front().length, memory_size);
  for (const std::uint32_t other : {1U, 2U, rom, config, 9U})
    EXPECT_EQ(error_of(device.mmap(user, {.region = other, .offset = 0, .length = memory_size})), EINVAL)
        << other << ": only where the model says so";
}

}  // namespace
}  // namespace umdev::pci
