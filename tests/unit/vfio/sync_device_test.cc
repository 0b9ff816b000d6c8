#include "umdev/vfio/sync_device.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t read_write = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
constexpr std::array<TableRegion, 3> regions{{{read_write, 8}, {}, {abi::vfio_region_info_flag_read, 256}}};
constexpr std::array<IrqInfo, 2> irqs{{{abi::vfio_irq_info_eventfd, 1}, {}}};
constexpr DeviceTable table{abi::vfio_device_flags_reset, regions, irqs};

// Eight registers of a byte; writing the last one interrupts.
class Registers final : public SyncDevice {
 public:
  Registers() : SyncDevice(table) {}
  std::string_view name() const override { return "registers"; }

  bool refuses_to_open = false;
  bool closed = false;

 public:
  Result<> open(User&) override {
    if (refuses_to_open) return fail(ENODEV, "broken");
    return {};
  }
  void close(User&) override { closed = true; }
  Result<std::size_t> read_region(User&, std::uint32_t region, std::uint64_t offset, Bytes data) override {
    if (region != 0) return fail(EIO, "no such register");
    std::ranges::copy(std::span(values_).subspan(offset, data.size()), data.begin());
    return data.size();
  }
  Result<std::size_t> write_region(User& user, std::uint32_t, std::uint64_t offset,
                                   ConstBytes data) override {
    std::ranges::copy(data, values_.begin() + static_cast<std::ptrdiff_t>(offset));
    if (offset + data.size() == values_.size()) user.irqs().raise(0);
    return data.size();
  }
  Result<> reset_device(User&) override {
    values_ = {};
    return {};
  }

 private:
  std::array<std::byte, 8> values_{};
};

// Overrides nothing that it need not.
class Bare final : public SyncDevice {
 public:
  Bare() : SyncDevice(table) {}
  std::string_view name() const override { return "bare"; }
};

TEST(DeviceTable, answers_the_info_calls) {
  EXPECT_EQ(table.info().flags, abi::vfio_device_flags_reset);
  EXPECT_EQ(table.info().num_regions, 3U);
  EXPECT_EQ(table.info().num_irqs, 2U);
  EXPECT_TRUE(table.info().capabilities.empty());
  EXPECT_EQ(table.region_info(2)->flags, abi::vfio_region_info_flag_read);
  EXPECT_EQ(table.region_info(2)->size, 256U);
  EXPECT_EQ(table.irq_info(0)->flags, abi::vfio_irq_info_eventfd);
  EXPECT_EQ(table.irq_info(0)->count, 1U);
}

TEST(DeviceTable, regions_lie_at_their_index_shifted_by_40) {
  EXPECT_EQ(table.region_info(0)->offset, 0U);
  EXPECT_EQ(table.region_info(2)->offset, 0x200'0000'0000U);
  EXPECT_EQ(region_offset(abi::vfio_pci_config_region_index), 0x700'0000'0000U);
}

TEST(DeviceTable, what_a_device_does_not_implement_is_there_and_empty) {
  EXPECT_EQ(table.region_info(1)->size, 0U);
  EXPECT_EQ(table.irq_info(1)->count, 0U);
}

TEST(DeviceTable, an_unknown_index_is_einval) {
  for (const std::uint32_t index : {3U, UINT32_MAX}) {
    EXPECT_EQ(test::error_of(table.region_info(index)), EINVAL) << index;
    EXPECT_EQ(test::error_of(table.irq_info(index)), EINVAL) << index;
  }
  EXPECT_EQ(test::error_of(DeviceTable{}.region_info(0)), EINVAL);
}

TEST(SyncDevice, B5_B6_answers_reads_and_writes_inline) {
  Registers device;
  test::FakeUser user(device);
  ASSERT_TRUE(test::write_register<std::uint16_t>(device, user, 0, 2, 0x1234));
  EXPECT_EQ(test::read_register<std::uint32_t>(device, user, 0, 0).value(), 0x1234'0000U);
}

TEST(SyncDevice, its_error_is_the_clients) {
  Registers device;
  test::FakeUser user(device);
  EXPECT_EQ(test::error_of(test::read_register<std::uint8_t>(device, user, 2, 0)), EIO);
}

TEST(SyncDevice, reaches_the_interrupts_of_whoever_asks) {
  Registers device;
  test::FakeUser user(device);
  test::FakeUser other(device);
  ASSERT_TRUE(user.irq().listen(0));
  ASSERT_TRUE(other.irq().listen(0));
  ASSERT_TRUE(test::write_register<std::uint8_t>(device, user, 0, 7, 1));
  EXPECT_EQ(user.irq().take(0), 1U);
  EXPECT_EQ(other.irq().take(0), 0U);
}

TEST(SyncDevice, opens_closes_and_resets_inline) {
  Registers device;
  test::FakeUser user(device);
  test::Outcome<> opened;
  device.open_device(user, opened.done());
  EXPECT_TRUE(opened.succeeded());
  ASSERT_TRUE(test::write_register<std::uint8_t>(device, user, 0, 0, 7));
  test::Outcome<> reset;
  device.reset(user, reset.done());
  EXPECT_TRUE(reset.succeeded());
  EXPECT_EQ(test::read_register<std::uint8_t>(device, user, 0, 0).value(), 0);
  test::Outcome<> closed;
  device.close_device(user, closed.done());
  EXPECT_TRUE(closed.succeeded());
  EXPECT_TRUE(device.closed);
}

TEST(SyncDevice, an_error_of_open_is_the_error_of_opening) {
  Registers device;
  device.refuses_to_open = true;
  test::FakeUser user(device);
  test::Outcome<> opened;
  device.open_device(user, opened.done());
  EXPECT_EQ(opened.error(), ENODEV);
}

TEST(SyncDevice, B5_B6_B7_B9_what_it_does_not_override_answers_as_the_kernel_does_for_a_missing_callback) {
  Bare device;
  test::FakeUser user(device);
  EXPECT_EQ(test::error_of(test::read_register<std::uint8_t>(device, user, 0, 0)), EINVAL);
  EXPECT_EQ(test::error_of(test::write_register<std::uint8_t>(device, user, 0, 0, 1)), EINVAL);
  EXPECT_EQ(test::error_of(device.ioctl(user, {})), ENOTTY);
  EXPECT_EQ(test::error_of(device.device_feature(user, {})), ENOTTY);
  EXPECT_EQ(test::error_of(device.mmap(user, {})), EINVAL);
  test::Outcome<> reset;
  device.reset(user, reset.done());
  EXPECT_EQ(reset.error(), ENOTTY);
}

}  // namespace
}  // namespace umdev::vfio
