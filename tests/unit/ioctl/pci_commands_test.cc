// What an open PCI function answers of its own: eventfds that stand for writes, and the reset of a slot.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/support/fake_watcher.h"
#include "tests/support/ioctl_world.h"
#include "umdev/abi/iommufd.h"
#include "umdev/os/event_fd.h"
#include "umdev/pci/pci_device.h"
#include "umdev/vfio/io_events.h"

namespace umdev::ioctl {
namespace {

using test::IoctlWorld;

constexpr std::uint64_t bar0 = 0;
constexpr std::uint64_t bar2 = std::uint64_t{2} << abi::vfio_pci_offset_shift;
constexpr std::uint32_t msix_table = 0x400;  // in BAR 2

struct Script {
  struct Write {
    std::uint32_t bar = 0;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<Write> writes;
  unsigned resets = 0;
  // A reset that is held back completes with this.
  bool holds_resets = false;
  Done<> held;
};

class Function final : public pci::PciDevice {
 public:
  explicit Function(std::shared_ptr<Script> script) : PciDevice(make_model()), script_(std::move(script)) {}
  std::string_view name() const override { return "function"; }
  void reset(vfio::User& user, Done<> done) override {
    ++script_->resets;
    if (!script_->holds_resets) return PciDevice::reset(user, std::move(done));
    script_->held = std::move(done);
  }

 private:
  static pci::ModelRef make_model() {
    pci::ConfigLayout layout(abi::pci_cfg_space_exp_size);
    layout.identify({.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000});
    layout.add_bar(0, {.kind = pci::Bar::Kind::memory32, .size = 4096});
    layout.add_bar(2, {.kind = pci::Bar::Kind::memory32, .size = 4096});
    layout.add_msix(
        {.vectors = 2, .table_bar = 2, .table_offset = msix_table, .pba_bar = 2, .pba_offset = 0x800});
    return pci::share(pci::Model(std::move(layout)));
  }
  Result<> bar_write(vfio::User&, std::uint32_t bar, std::uint64_t offset, ConstBytes from) override {
    script_->writes.push_back({.bar = bar, .offset = offset, .bytes = {from.begin(), from.end()}});
    return {};
  }
  const std::shared_ptr<Script> script_;
};

struct PciCommandsTest : testing::Test {
  struct Added {
    std::shared_ptr<Script> script = std::make_shared<Script>();
    test::CoreWorld::Registered registered;
  };
  Added add(const std::string& name) {
    Added added;
    added.registered.parent = world.core.add_parent(name);
    auto device = world.core.core->register_emulated_device(std::make_unique<Function>(added.script),
                                                            {.parent = added.registered.parent});
    EXPECT_TRUE(device);
    added.registered.device = device->device;
    added.registered.registration = std::move(device->registration);
    added.registered.group = added.registered.device->group()->iommu_group().number();
    return added;
  }

  // --- IOEVENTFD
  long io_event(const IoctlWorld::FilePtr& device, std::uint64_t offset, std::uint32_t flags,
                std::uint64_t data, int fd) {
    return world.call_with(
        device, abi::vfio_device_ioeventfd,
        abi::VfioDeviceIoeventfd{
            .argsz = 32, .flags = flags, .offset = offset, .data = data, .fd = fd, .reserved = 0});
  }

  // --- Hot reset
  struct HotReset {
    abi::VfioPciHotReset head;
    std::array<std::int32_t, 4> fds;
  };
  long hot_reset(const IoctlWorld::FilePtr& device, const std::vector<int>& fds, std::uint32_t flags = 0) {
    HotReset reset{
        .head = {.argsz = sizeof reset, .flags = flags, .count = static_cast<std::uint32_t>(fds.size())},
        .fds = {}};
    std::ranges::copy(fds, reset.fds.begin());
    return world.call_with(device, abi::vfio_device_pci_hot_reset, reset);
  }
  struct Info {
    abi::VfioPciHotResetInfo head;
    std::array<abi::VfioPciDependentDevice, 3> devices;
  };
  long info(const IoctlWorld::FilePtr& device, std::uint32_t argsz = sizeof(Info)) {
    return world.call_with(device, abi::vfio_device_get_pci_hot_reset_info, Info{.head = {.argsz = argsz}});
  }
  IoctlWorld::FilePtr bound(const Added& wanted, const IoctlWorld::FilePtr& iommufd) {
    const auto node = world.nodes.open_device(wanted.registered.device->index(), {}).value();
    const int fd = world.caller->add_file(iommufd);
    EXPECT_EQ(world.call_with(node, abi::vfio_device_bind_iommufd,
                              abi::VfioDeviceBindIommufd{.argsz = 24, .iommufd = fd}),
              0);
    return node;
  }

  test::FakeWatcher watcher;
  IoctlWorld world{Profile::linux_7_2, {.watcher = &watcher}};
};

TEST_F(PciCommandsTest, signalling_an_io_eventfd_is_a_write_of_its_data) {
  const Added function = add("0000:00:05.0");
  const auto opened = world.open(function.registered);
  const auto event = os::EventFd::create().value();
  ASSERT_EQ(io_event(opened.device, bar0 + 0x10, 2, 0x123456, world.caller->add_fd(event.get())), 0);
  event.signal();
  event.signal();
  EXPECT_EQ(watcher.deliver(), 1U);
  world.core.host.run();
  ASSERT_EQ(function.script->writes.size(), 1U);
  EXPECT_EQ(function.script->writes[0].bar, 0U);
  EXPECT_EQ(function.script->writes[0].offset, 0x10U);
  EXPECT_EQ(function.script->writes[0].bytes, (std::vector{std::byte{0x56}, std::byte{0x34}}));
}

TEST_F(PciCommandsTest, an_io_eventfd_needs_one_size_of_at_most_4_bytes_in_a_bar_beside_the_msix_table) {
  const Added function = add("0000:00:05.0");
  const auto opened = world.open(function.registered);
  const auto event = os::EventFd::create().value();
  const int fd = world.caller->add_fd(event.get());
  struct Case {
    std::uint64_t offset;
    std::uint32_t flags;
    int fd;
    long expected;
  };
  const std::uint64_t config = std::uint64_t{abi::vfio_pci_config_region_index} << abi::vfio_pci_offset_shift;
  for (const Case& each :
       {Case{bar0, 0, fd, -EINVAL}, Case{bar0, 3, fd, -EINVAL}, Case{bar0, 16, fd, -EINVAL},
        Case{bar0, 8, fd, -EINVAL}, Case{bar0, 4, -2, -EINVAL}, Case{bar0, 4, 4711, -EBADF},
        Case{bar0 + 4096, 4, fd, -EINVAL}, Case{bar0 + 4094, 4, fd, -EINVAL}, Case{config, 4, fd, -EINVAL},
        Case{UINT64_MAX, 4, fd, -EINVAL}, Case{bar2 + msix_table, 4, fd, -EINVAL},
        Case{bar2 + msix_table - 1, 2, fd, -EINVAL}, Case{bar2 + msix_table + 31, 1, fd, -EINVAL},
        Case{bar2 + msix_table + 32, 1, fd, 0}, Case{bar2 + msix_table - 2, 2, fd, 0}})
    EXPECT_EQ(io_event(opened.device, each.offset, each.flags, 0, each.fd), each.expected)
        << each.offset << " " << each.flags;
}

TEST_F(PciCommandsTest, an_io_eventfd_must_be_one_and_is_known_by_its_write) {
  const Added function = add("0000:00:05.0");
  const auto opened = world.open(function.registered);
  const auto event = os::EventFd::create().value();
  const int fd = world.caller->add_fd(event.get());
  const os::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, world.caller->add_fd(null.get())), -EINVAL);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, -1), -ENODEV);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, fd), 0);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, fd), -EEXIST);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 2, fd), 0);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, -1), 0);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, -1), -ENODEV);
  event.signal();
  watcher.deliver();
  world.core.host.run();
  ASSERT_EQ(function.script->writes.size(), 1U);
  EXPECT_EQ(function.script->writes[0].bytes[0], std::byte{2});
}

TEST_F(PciCommandsTest, io_eventfds_are_a_thousand_at_most) {
  const Added function = add("0000:00:05.0");
  const auto opened = world.open(function.registered);
  const auto event = os::EventFd::create().value();
  const int fd = world.caller->add_fd(event.get());
  for (std::uint64_t data = 0; data < vfio::IoEvents::most; ++data)
    ASSERT_EQ(io_event(opened.device, bar0, 4, data, fd), 0);
  EXPECT_EQ(io_event(opened.device, bar0, 4, vfio::IoEvents::most, fd), -ENOSPC);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 0, fd), -EEXIST);
}

TEST_F(PciCommandsTest, io_eventfds_end_with_the_last_file_of_their_user) {
  const Added function = add("0000:00:05.0");
  auto opened = world.open(function.registered);
  const auto event = os::EventFd::create().value();
  ASSERT_EQ(io_event(opened.device, bar0, 4, 1, world.caller->add_fd(event.get())), 0);
  ASSERT_EQ(world.get_device(opened.group, "0000:00:05.0"), 0);
  auto second = world.made();
  opened.device.reset();
  EXPECT_EQ(watcher.watched(), 1U);
  event.signal();
  auto late = watcher.take_ready();
  second.reset();
  world.last->reset();
  EXPECT_EQ(watcher.watched(), 0U);
  late();
  world.core.host.run();
  EXPECT_TRUE(function.script->writes.empty());
}

TEST_F(PciCommandsTest, err_tells_that_the_device_is_faulted_and_req_that_it_shall_be_let_go) {
  Added function = add("0000:00:05.0");
  const auto opened = world.open(function.registered);
  struct {
    abi::VfioIrqSet set;
    std::int32_t fd;
  } request{.set = {.argsz = sizeof request, .flags = 0x24, .count = 1}, .fd = 0};
  const auto error = os::EventFd::create().value();
  const auto let_go = os::EventFd::create().value();
  request.set.index = abi::vfio_pci_err_irq_index;
  request.fd = world.caller->add_fd(error.get());
  ASSERT_EQ(world.call_with(opened.device, abi::vfio_device_set_irqs, request), 0);
  request.set.index = abi::vfio_pci_req_irq_index;
  request.fd = world.caller->add_fd(let_go.get());
  ASSERT_EQ(world.call_with(opened.device, abi::vfio_device_set_irqs, request), 0);
  const test::Ending ending(function.registered.registration);
  EXPECT_EQ(let_go.take(), 1U);
  EXPECT_EQ(error.take(), 0U);
  function.registered.device->fault("the test said so");
  world.core.host.run();
  EXPECT_EQ(error.take(), 1U);
  EXPECT_FALSE(ending.ended());
}

TEST_F(PciCommandsTest, a_device_that_is_no_pci_function_has_neither) {
  const auto device = world.core.add_device("d0");
  const auto opened = world.open(device);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, -1), -ENOTTY);
  EXPECT_EQ(info(opened.device), -ENOTTY);
  EXPECT_EQ(hot_reset(opened.device, {3}), -ENOTTY);
}

TEST_F(PciCommandsTest, a_function_that_is_on_no_bus_has_neither) {
  const Added function = add("d0");
  const auto opened = world.open(function.registered);
  EXPECT_EQ(io_event(opened.device, bar0, 4, 1, -1), -ENOTTY);
  EXPECT_EQ(info(opened.device), -ENOTTY);
  EXPECT_EQ(hot_reset(opened.device, {3}), -ENOTTY);
}

TEST_F(PciCommandsTest, hot_reset_info_names_the_functions_of_the_slot) {
  const Added one = add("0000:00:05.1");
  const Added two = add("0000:00:05.0");
  const Added elsewhere = add("0000:00:06.0");
  const auto opened = world.open(one.registered);
  EXPECT_EQ(info(opened.device, sizeof(abi::VfioPciHotResetInfo) - 1), -EINVAL);
  EXPECT_EQ(info(opened.device, sizeof(abi::VfioPciHotResetInfo) + 8), -ENOSPC);
  EXPECT_EQ(world.argument<Info>().head.count, 2U);
  ASSERT_EQ(info(opened.device), 0);
  const auto said = world.argument<Info>();
  EXPECT_EQ(said.head.flags, 0U);
  ASSERT_EQ(said.head.count, 2U);
  EXPECT_EQ(said.devices[0].group_id, two.registered.group);
  EXPECT_EQ(said.devices[0].devfn, 5U << 3U);
  EXPECT_EQ(said.devices[1].group_id, one.registered.group);
  EXPECT_EQ(said.devices[1].devfn, (5U << 3U) + 1);
}

TEST_F(PciCommandsTest, hot_reset_resets_all_functions_of_the_slot_for_who_has_all_groups) {
  const Added one = add("0000:00:05.0");
  const Added two = add("0000:00:05.1");
  const auto first = world.open(one.registered);
  const auto second = world.open(two.registered);
  const int first_group = world.caller->add_file(first.group);
  const int second_group = world.caller->add_file(second.group);
  EXPECT_EQ(hot_reset(first.device, {}), -EINVAL);
  EXPECT_EQ(hot_reset(first.device, {first_group}, 1), -EINVAL);
  EXPECT_EQ(hot_reset(first.device, {first_group}), -EINVAL);
  EXPECT_EQ(hot_reset(first.device, {first_group, second_group, first_group}), -EINVAL);
  EXPECT_EQ(hot_reset(first.device, {first_group, 4711}), -EBADF);
  EXPECT_EQ(hot_reset(first.device, {first_group, world.caller->add_file(first.container)}), -EINVAL);
  EXPECT_EQ(one.script->resets + two.script->resets, 0U);
  EXPECT_EQ(hot_reset(first.device, {first_group, second_group}), 0);
  EXPECT_EQ(one.script->resets, 1U);
  EXPECT_EQ(two.script->resets, 1U);
}

TEST_F(PciCommandsTest, nobody_opens_a_function_while_its_slot_is_reset) {
  const Added one = add("0000:00:05.0");
  const Added two = add("0000:00:05.1");
  const auto first = world.open(one.registered);
  const auto second = world.open(two.registered);
  one.script->holds_resets = true;
  EXPECT_EQ(
      hot_reset(first.device, {world.caller->add_file(first.group), world.caller->add_file(second.group)}),
      -EINPROGRESS);
  const auto reset = world.last;
  EXPECT_EQ(world.get_device(second.group, "0000:00:05.1"), -EINPROGRESS);
  one.script->held();
  EXPECT_EQ(world.outcome(), 0);
  ASSERT_TRUE(*reset);
  EXPECT_TRUE(**reset);
  EXPECT_EQ(two.script->resets, 1U);
}

TEST_F(PciCommandsTest, a_device_of_an_iommufd_shows_no_groups_and_needs_all_functions_bound_to_it) {
  const Added one = add("0000:00:05.0");
  const Added two = add("0000:00:05.1");
  const auto iommufd = world.nodes.open_iommufd({}).value();
  const auto first = bound(one, iommufd);
  EXPECT_EQ(hot_reset(first, {}), -EINVAL);
  ASSERT_EQ(info(first), 0);
  EXPECT_EQ(world.argument<Info>().head.flags, 1U);
  EXPECT_EQ(world.argument<Info>().devices[0].group_id, 1U);
  EXPECT_EQ(world.argument<Info>().devices[1].group_id, UINT32_MAX);
  const auto second = bound(two, iommufd);
  ASSERT_EQ(info(first), 0);
  EXPECT_EQ(world.argument<Info>().head.flags, 3U);
  EXPECT_EQ(world.argument<Info>().devices[1].group_id, 2U);
  EXPECT_EQ(hot_reset(first, {world.caller->add_file(iommufd)}), -EINVAL);
  EXPECT_EQ(hot_reset(first, {}), 0);
  EXPECT_EQ(one.script->resets, 1U);
  EXPECT_EQ(two.script->resets, 1U);
}

TEST_F(PciCommandsTest, a_function_bound_to_another_iommufd_is_not_owned) {
  const Added one = add("0000:00:05.0");
  const Added two = add("0000:00:05.1");
  const auto first = bound(one, world.nodes.open_iommufd({}).value());
  const auto second = bound(two, world.nodes.open_iommufd({}).value());
  ASSERT_EQ(info(first), 0);
  EXPECT_EQ(world.argument<Info>().devices[1].group_id, UINT32_MAX);
  EXPECT_EQ(hot_reset(first, {}), -EINVAL);
  EXPECT_EQ(two.script->resets, 0U);
}

}  // namespace
}  // namespace umdev::ioctl
