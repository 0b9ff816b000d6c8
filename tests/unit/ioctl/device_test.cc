// Commands of an open device, its accesses and mappings.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/ioctl_world.h"
#include "umdev/os/event_fd.h"
#include "umdev/vfio/device_wrapper.h"

namespace umdev::ioctl {
namespace {

using test::FakeCaller;
using test::IoctlWorld;

constexpr std::uint64_t region_offset(std::uint64_t index) {
  return index << abi::vfio_pci_offset_shift;
}

std::shared_ptr<test::DeviceScript> pci_script() {
  constexpr std::uint32_t rw = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
  auto script = std::make_shared<test::DeviceScript>();
  script->regions.assign(abi::vfio_pci_num_regions, {});
  for (std::uint32_t index = 0; index < script->regions.size(); ++index)
    script->regions[index].offset = region_offset(index);
  script->regions[0] = {.flags = rw, .size = 0x1000, .offset = 0};
  script->regions[2] = {
      .flags = abi::vfio_region_info_flag_read, .size = 0x100, .offset = region_offset(0x102)};
  script->regions[7] = {.flags = rw, .size = 0x100, .offset = region_offset(7)};
  script->irqs.assign(abi::vfio_pci_num_irqs, {});
  script->irqs[0] = {.flags = 7, .count = 1};
  script->irqs[1] = {.flags = 9, .count = 4};
  script->irqs[4] = {.flags = 9, .count = 1};
  return script;
}

struct DeviceNodeTest : testing::Test {
  // The result of an access: its number of bytes, or minus the errno.
  long read(std::uint64_t offset, std::size_t size) {
    long result = -EINPROGRESS;
    auto buffer = std::make_shared<std::vector<std::byte>>(size);
    file()->read(offset, *buffer, buffer, [&](Result<std::size_t> count) {
      result = count ? static_cast<long>(*count) : -count.error().code;
    });
    return result;
  }
  long write(std::uint64_t offset, std::size_t size) {
    long result = -EINPROGRESS;
    auto buffer = std::make_shared<std::vector<std::byte>>(size);
    file()->write(offset, *buffer, buffer, [&](Result<std::size_t> count) {
      result = count ? static_cast<long>(*count) : -count.error().code;
    });
    return result;
  }
  const std::shared_ptr<File>& file() { return opened.device; }

  // SET_IRQS with some words of data behind it.
  long set_irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
                std::vector<std::int32_t> data = {}) {
    const auto argsz = static_cast<std::uint32_t>(sizeof(abi::VfioIrqSet) + data.size() * 4);
    for (std::size_t i = 0; i < data.size(); ++i)
      world.caller->put(IoctlWorld::arguments + sizeof(abi::VfioIrqSet) + 4 * i, data[i]);
    return world.call_with(
        file(), abi::vfio_device_set_irqs,
        abi::VfioIrqSet{.argsz = argsz, .flags = flags, .index = index, .start = start, .count = count});
  }

  IoctlWorld world;
  std::shared_ptr<test::DeviceScript> script = pci_script();
  test::CoreWorld::Registered device = world.core.add_device("d0", script);
  IoctlWorld::Opened opened = world.open(device);
};

constexpr std::uint32_t none = abi::vfio_irq_set_data_none;
constexpr std::uint32_t boolean = abi::vfio_irq_set_data_bool;
constexpr std::uint32_t eventfd = abi::vfio_irq_set_data_eventfd;
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;

TEST_F(DeviceNodeTest, E5_info_of_device_regions_and_interrupts) {
  ASSERT_EQ(world.call_with(file(), abi::vfio_device_get_info, abi::VfioDeviceInfo{.argsz = 24}), 0);
  const auto info = world.argument<abi::VfioDeviceInfo>();
  EXPECT_EQ(info.flags, abi::vfio_device_flags_pci | abi::vfio_device_flags_reset);
  EXPECT_EQ(info.num_regions, 9U);
  EXPECT_EQ(info.num_irqs, 5U);
  EXPECT_EQ(info.argsz, 24U);

  const auto region = [&](std::uint32_t index) {
    EXPECT_EQ(world.call_with(file(), abi::vfio_device_get_region_info,
                              abi::VfioRegionInfo{.argsz = 32, .index = index}),
              0);
    return world.argument<abi::VfioRegionInfo>();
  };
  EXPECT_EQ(region(0).size, 0x1000U);
  EXPECT_EQ(region(2).offset, region_offset(0x102));
  EXPECT_EQ(region(1).size, 0U) << "not implemented, and no error";
  EXPECT_EQ(region(1).flags, 0U);

  ASSERT_EQ(world.call_with(file(), abi::vfio_device_get_irq_info, abi::VfioIrqInfo{.argsz = 16, .index = 1}),
            0);
  EXPECT_EQ(world.argument<abi::VfioIrqInfo>().count, 4U);
}

TEST_F(DeviceNodeTest, bad_arguments_of_every_command) {
  struct Row {
    std::uint32_t command;
    std::uint32_t minsz;
  };
  for (const Row row : {Row{abi::vfio_device_get_info, 16}, Row{abi::vfio_device_get_region_info, 32},
                        Row{abi::vfio_device_get_irq_info, 16}, Row{abi::vfio_device_set_irqs, 20},
                        Row{abi::vfio_device_feature, 8}}) {
    EXPECT_EQ(world.call(file(), row.command, IoctlWorld::nowhere), -EFAULT) << row.command;
    const UserAddress end = IoctlWorld::arguments + 4 * FakeCaller::page;
    EXPECT_EQ(world.call(file(), row.command, end - row.minsz + 4), -EFAULT) << row.command;
    EXPECT_EQ(world.call_with(file(), row.command, row.minsz - 1), -EINVAL) << row.command;
  }
  world.caller->put(IoctlWorld::arguments, abi::VfioRegionInfo{.argsz = 32, .index = 9});
  EXPECT_EQ(world.call(file(), abi::vfio_device_get_region_info, IoctlWorld::arguments), -EINVAL);
  EXPECT_EQ(world.call_with(file(), abi::vfio_device_get_irq_info, abi::VfioIrqInfo{.argsz = 16, .index = 5}),
            -EINVAL);
  for (const std::uint32_t command : {0x3b64U, 0x3b67U, 0x3b70U, 0x3b72U, 0x3b7fU, 0U})
    EXPECT_EQ(world.call(file(), command, IoctlWorld::nowhere), -ENOTTY) << command;
}

// It knows of region 16 too, which it does not count, and fails when it is asked for region 17.
class WithUncountedRegion : public vfio::DeviceWrapper {
 public:
  using DeviceWrapper::DeviceWrapper;
  Result<std::uint32_t> ioctl(vfio::User&, vfio::IoctlRequest request) override {
    abi::VfioRegionInfo info;
    if (request.command != abi::vfio_device_get_region_info || request.argument.size() < sizeof(info))
      return fail(ENOTTY, "unknown command");
    std::memcpy(&info, request.argument.data(), sizeof(info));
    if (info.index == 17) return fail(EIO, "it is broken");
    if (info.index != 16) return fail(EINVAL, "no such region");
    info.size = 0x100;
    info.offset = region_offset(7);
    std::memcpy(request.argument.data(), &info, sizeof(info));
    return 0U;
  }
};

TEST_F(DeviceNodeTest, a_region_that_the_driver_does_not_count_is_the_drivers_to_answer_for) {
  const auto parent = world.core.add_parent("d1");
  auto registered = world.core.core->register_emulated_device(
      std::make_unique<WithUncountedRegion>(std::make_unique<test::ScriptedDevice>(pci_script())),
      {.parent = parent});
  ASSERT_TRUE(registered);
  test::CoreWorld::Registered other{.script = script, .parent = parent};
  other.device = registered->device;
  other.registration = std::move(registered->registration);
  other.group = other.device->group()->iommu_group().number();
  opened = world.open(other);
  const auto ask = [&](std::uint32_t index) {
    return world.call_with(file(), abi::vfio_device_get_region_info,
                           abi::VfioRegionInfo{.argsz = 32, .index = index});
  };
  EXPECT_EQ(ask(9), -EINVAL);
  EXPECT_EQ(ask(17), -EIO);
  ASSERT_EQ(ask(16), 0);
  EXPECT_EQ(world.argument<abi::VfioRegionInfo>().size, 0x100U);
  EXPECT_EQ(read(world.argument<abi::VfioRegionInfo>().offset, 4), 4) << "it lies where a counted one does";
  EXPECT_EQ(ask(0), 0);
  EXPECT_EQ(world.argument<abi::VfioRegionInfo>().size, 0x1000U) << "the core's answer, not the driver's";
  opened = {};
}

TEST_F(DeviceNodeTest, reset_completes_when_the_device_does) {
  script->hold_reset = true;
  EXPECT_EQ(world.call(file(), abi::vfio_device_reset), -EINPROGRESS);
  script->take(script->held_reset)();
  EXPECT_EQ(world.outcome(), 0);
}

TEST_F(DeviceNodeTest, accesses_find_their_region_and_end_with_it) {
  EXPECT_EQ(read(0, 4), 4);
  EXPECT_EQ(read(0xffe, 8), 2) << "cut at the end";
  EXPECT_EQ(read(0x1000, 1), -EINVAL);
  EXPECT_EQ(read(0, 0), 0);
  EXPECT_EQ(write(0xfff, 4), 1);
  EXPECT_EQ(read(region_offset(1), 4), -EINVAL) << "a region of size 0";
  EXPECT_EQ(read(region_offset(9), 4), -EINVAL) << "no such region";
  EXPECT_EQ(read(region_offset(0x102) + 8, 4), 4) << "where the device says";
  EXPECT_EQ(read(region_offset(2) + 8, 4), 4) << "where vfio-pci has it";
  EXPECT_EQ(write(region_offset(2), 4), -EINVAL) << "read-only";
  EXPECT_EQ(read(region_offset(7) + 0xfc, 4), 4);
  EXPECT_EQ(read(region_offset(7) + 0xfe, 4), -EFAULT) << "configuration space is not cut";
  EXPECT_EQ(read(~0ULL, 4), -EINVAL);
}

TEST_F(DeviceNodeTest, mmap_of_what_cannot_be_mapped_is_einval) {
  EXPECT_EQ(file()->mmap({.offset = 0, .length = 4096}).error().code, EINVAL) << "no MMAP flag";
  EXPECT_EQ(file()->mmap({.offset = region_offset(9), .length = 4096}).error().code, EINVAL);
  EXPECT_EQ(file()->mmap({.offset = 0, .length = 4096, .shared = false}).error().code, EINVAL);
  EXPECT_EQ(file()->mmap({.offset = 0, .length = 8192}).error().code, EINVAL);
}

// --- SET_IRQS

TEST_F(DeviceNodeTest, C36_set_irqs_refuses_what_the_kernel_refuses) {
  struct Row {
    std::uint32_t flags, index, start, count;
    std::vector<std::int32_t> data;
    int error;
  };
  for (const Row& row : std::vector<Row>{{none | trigger, 5, 0, 1, {}, EINVAL},
                                         {none | trigger, 1, 1, UINT32_MAX, {}, EINVAL},
                                         {none | trigger | 64, 1, 0, 1, {}, EINVAL},
                                         {none | trigger, 1, 4, 1, {}, EINVAL},
                                         {none | trigger, 1, 3, 2, {}, EINVAL},
                                         {none | trigger, 2, 0, 0, {}, EINVAL},
                                         {trigger, 1, 0, 1, {}, EINVAL},
                                         {none | boolean | trigger, 1, 0, 1, {0}, EINVAL},
                                         {eventfd | trigger, 1, 0, 2, {-1}, EINVAL},
                                         {boolean | trigger, 1, 0, 4, {}, EINVAL},
                                         {none, 1, 0, 1, {}, ENOTTY},
                                         {none | mask | trigger, 1, 0, 1, {}, ENOTTY},
                                         {none | mask, 1, 0, 1, {}, ENOTTY},
                                         {none | mask, 0, 0, 1, {}, EINVAL},
                                         {none | trigger, 1, 0, 0, {}, EINVAL},
                                         {eventfd | trigger, 1, 0, 0, {}, ERANGE},
                                         {eventfd | trigger, 4, 0, 1, {-2}, EINVAL},
                                         {eventfd | trigger, 1, 0, 1, {99}, EBADF}})
    EXPECT_EQ(set_irqs(row.flags, row.index, row.start, row.count, row.data), -row.error)
        << row.flags << " " << row.index << " " << row.start << " " << row.count;
}

TEST_F(DeviceNodeTest, E5_an_interrupt_signals_the_callers_eventfd) {
  auto event = os::EventFd::create().value();
  const int fd = world.caller->add_fd(event.get());
  ASSERT_EQ(set_irqs(eventfd | trigger, 1, 0, 2, {-1, fd}), 0);
  script->user->irqs().raise(1, 1);
  EXPECT_EQ(event.take(), 1U);
  ASSERT_EQ(set_irqs(none | trigger, 1, 0, 0), 0);
  EXPECT_FALSE(script->user->irqs().enabled(1));
}

TEST_F(DeviceNodeTest, a_bad_descriptor_silences_its_whole_block) {
  auto event = os::EventFd::create().value();
  const int fd = world.caller->add_fd(event.get());
  ASSERT_EQ(set_irqs(eventfd | trigger, 1, 0, 2, {fd, fd}), 0);
  EXPECT_EQ(set_irqs(eventfd | trigger, 1, 0, 2, {fd, 99}), -EBADF);
  script->user->irqs().raise(1, 0);
  EXPECT_EQ(event.take(), 0U);
}

TEST_F(DeviceNodeTest, data_that_are_not_there_are_efault_only_of_a_request_that_would_be_taken) {
  const UserAddress at = IoctlWorld::arguments + 4 * FakeCaller::page - sizeof(abi::VfioIrqSet);
  abi::VfioIrqSet set{.argsz = 24, .flags = eventfd | trigger, .index = 1, .start = 0, .count = 1};
  EXPECT_EQ(world.call(file(), abi::vfio_device_set_irqs, world.caller->put(at, set)), -EFAULT);
  set.flags |= 64;
  EXPECT_EQ(world.call(file(), abi::vfio_device_set_irqs, world.caller->put(at, set)), -EINVAL);
}

// --- FEATURE of a device that does not migrate

TEST_F(DeviceNodeTest, features_follow_the_flags_discipline) {
  const auto feature = [&](std::uint32_t flags, std::uint32_t argsz = 16) {
    return world.call_with(file(), abi::vfio_device_feature,
                           abi::VfioDeviceFeatureHeader{.argsz = argsz, .flags = flags});
  };
  EXPECT_EQ(feature(1U << 19), -EINVAL);
  EXPECT_EQ(feature(abi::vfio_device_feature_get | abi::vfio_device_feature_set | 1), -EINVAL);
  EXPECT_EQ(feature(abi::vfio_device_feature_get | 1), -ENOTTY) << "no migration";
  EXPECT_EQ(feature(abi::vfio_device_feature_set | 2), -ENOTTY);
  EXPECT_EQ(feature(abi::vfio_device_feature_probe | 6), -ENOTTY);
  EXPECT_EQ(feature(abi::vfio_device_feature_get | 200), -ENOTTY);
}

// --- The end

TEST_F(DeviceNodeTest, a_device_that_is_taken_away_answers_enodev) {
  test::Ending ending(device.registration, RemovePolicy::force);
  world.core.host.advance(std::chrono::seconds(20));
  EXPECT_EQ(world.call_with(file(), abi::vfio_device_get_info, abi::VfioDeviceInfo{.argsz = 24}), -ENODEV);
  EXPECT_EQ(read(0, 4), -ENODEV);
  EXPECT_EQ(world.call(file(), abi::vfio_device_reset), -ENODEV);
}

}  // namespace
}  // namespace umdev::ioctl
