// The vendor's callbacks: each is reached through an instance, none is serialised, no lock is held.
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/support/fake_backing.h"
#include "tests/support/fake_iommu_driver.h"
#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

class VendorCallbacks : public CardTest {
 public:
  void SetUp() override {
    ASSERT_EQ(create(1), 0);
    device = script->device_script(uuid(1));
  }
  std::shared_ptr<test::DeviceScript> device;
};

TEST_F(VendorCallbacks, D19_D20_open_at_the_first_file_and_close_at_the_last) {
  auto session = world.open_instance(uuid(1));
  auto second = MdevWorld::get_device(*session.group, name(1)).value();
  EXPECT_EQ(device->count("open"), 1U);
  session.device = nullptr;
  EXPECT_EQ(device->count("close"), 0U);
  second = nullptr;
  EXPECT_EQ(device->count("close"), 1U);
}

TEST_F(VendorCallbacks, D19_an_error_of_open_is_the_error_of_opening) {
  device->open_error = ENOSPC;
  const auto container = world.core->open_container();
  const auto group = world.open_group(uuid(1));
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(MdevWorld::get_device(*group, name(1)).error().code, ENOSPC);
  EXPECT_EQ(remove(1, RemovePolicy::busy), 0) << "nothing is open then";
}

TEST_F(VendorCallbacks, D21_D22_read_write_and_ioctl) {
  const auto session = world.open_instance(uuid(1));
  EXPECT_EQ(test::read_file(*session.device, 0, 4, 4).value(), std::vector<std::byte>(4, std::byte{0x5a}));
  EXPECT_EQ(test::write_file(*session.device, 0, 4, std::vector<std::byte>(8)).value(), 8U);
  EXPECT_EQ(session.device->ioctl({.command = 1, .argument = {}}).value(), 42U);
  EXPECT_EQ(session.device->ioctl({.command = 2, .argument = {}}).error().code, ENOTTY);
  EXPECT_THAT(device->seen(), ElementsAre("open", "read", "write", "ioctl", "ioctl"));
}

TEST_F(VendorCallbacks, D24_request_reaches_the_vendor_when_the_instance_is_removed) {
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  EXPECT_EQ(device->count("request 0"), 1U);
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
}

// A device that implements nothing but its description.
class BareDevice final : public vfio::Device {
 public:
  std::string_view name() const override { return "bare"; }
  vfio::DeviceInfo info() const override {
    return {.flags = abi::vfio_device_flags_pci, .num_regions = 1, .num_irqs = 0, .capabilities = {}};
  }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override {
    return vfio::RegionInfo{.flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write |
                                     abi::vfio_region_info_flag_mmap,
                            .size = 4096,
                            .offset = 0,
                            .capabilities = {}};
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "none"); }
};

TEST_F(VendorCallbacks, D19_D20_D21_D22_D23_D24_callbacks_that_are_missing) {
  script->make_device = [](const CreateRequest&) { return std::make_unique<BareDevice>(); };
  ASSERT_EQ(create(2), 0);
  auto session = world.open_instance(uuid(2));
  EXPECT_EQ(test::read_file(*session.device, 0, 0, 4).error().code, EINVAL);
  EXPECT_EQ(test::write_file(*session.device, 0, 0, std::vector<std::byte>(4)).error().code, EINVAL);
  EXPECT_EQ(session.device->mmap({.region = 0, .offset = 0, .length = 4096}).error().code, EINVAL);
  EXPECT_EQ(session.device->ioctl({.command = 1, .argument = {}}).error().code, ENOTTY);
  EXPECT_TRUE(session.device->info().has_value());
  const auto removal = begin_remove(2);
  EXPECT_FALSE(removal.is_done()) << "without request the removal waits until its user lets go by itself";
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
}

// A device that a client may map.
class MappedDevice final : public vfio::DeviceWrapper {
 public:
  using DeviceWrapper::DeviceWrapper;
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User&, const vfio::MmapRequest& request) override {
    return std::vector{vfio::MmapExtent{
        .fd = 77, .fd_offset = request.offset, .region_offset = request.offset, .length = request.length}};
  }
};

TEST_F(VendorCallbacks, D23_mmap) {
  script->make_device = [](const CreateRequest&) {
    return std::make_unique<MappedDevice>(std::make_unique<BareDevice>());
  };
  ASSERT_EQ(create(2), 0);
  const auto session = world.open_instance(uuid(2));
  const auto extents = session.device->mmap({.region = 0, .offset = 0, .length = 4096});
  ASSERT_TRUE(extents.has_value());
  ASSERT_EQ(extents->size(), 1U);
  EXPECT_EQ((*extents)[0].fd, 77);
}

// --- The no-lock rule.

// Where threads of a test meet; false for who had to wait too long for the others.
class Meeting {
 public:
  explicit Meeting(int expected) : missing_(expected) {}
  bool arrive() {
    Lock lock(mutex_);
    --missing_;
    condition_.notify_all();
    while (missing_ > 0)
      if (!condition_.wait_for(mutex_, std::chrono::seconds(20))) return false;
    return true;
  }

 private:
  Mutex mutex_;
  Condition condition_;
  int missing_ UMDEV_GUARDED_BY(mutex_);
};

// Its read and its ioctl wait for the others.
class MeetingDevice final : public vfio::Device {
 public:
  MeetingDevice(Meeting& reads, Meeting& ioctls) : reads_(reads), ioctls_(ioctls) {}
  std::string_view name() const override { return "meeting"; }
  vfio::DeviceInfo info() const override {
    return {.flags = abi::vfio_device_flags_pci, .num_regions = 1, .num_irqs = 0, .capabilities = {}};
  }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override {
    return vfio::RegionInfo{
        .flags = abi::vfio_region_info_flag_read, .size = 16, .offset = 0, .capabilities = {}};
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "none"); }
  void read(vfio::ReadRequest request) override {
    EXPECT_TRUE(reads_.arrive());
    request.complete_all();
  }
  Result<std::uint32_t> ioctl(vfio::User&, vfio::IoctlRequest) override {
    EXPECT_TRUE(ioctls_.arrive());
    return 0U;
  }

 private:
  Meeting& reads_;
  Meeting& ioctls_;
};

class NoLockRule : public CardTest {
 public:
  // Opens an instance whose accesses wait for `meeting`.
  MdevWorld::Session open_meeting_device(unsigned n, Meeting& meeting) {
    script->make_device = [&meeting](const CreateRequest&) {
      return std::make_unique<MeetingDevice>(meeting, meeting);
    };
    EXPECT_EQ(create(n), 0);
    script->make_device = {};
    return world.open_instance(uuid(n));
  }
  int create_on_this_thread(unsigned n) { return begin_create(n).error(); }
};

TEST_F(NoLockRule, D26_a_create_a_read_and_an_ioctl_are_inside_the_vendor_at_once) {
  Meeting meeting(3);
  auto session = open_meeting_device(1, meeting);
  script->during_create = [&meeting](const Uuid&) { EXPECT_TRUE(meeting.arrive()); };
  {
    const std::jthread creator([this] { EXPECT_EQ(create_on_this_thread(2), 0); });
    const std::jthread reader(
        [&session] { EXPECT_TRUE(test::read_file(*session.device, 0, 0, 4).has_value()); });
    const std::jthread caller(
        [&session] { EXPECT_TRUE(session.device->ioctl({.command = 1, .argument = {}}).has_value()); });
  }
  EXPECT_EQ(world.bus->instances().size(), 2U);
}

TEST_F(NoLockRule, D26_two_creates_and_a_read_overlap) {
  Meeting meeting(3);
  auto session = open_meeting_device(1, meeting);
  script->during_create = [&meeting](const Uuid&) { EXPECT_TRUE(meeting.arrive()); };
  {
    const std::jthread first([this] { EXPECT_EQ(create_on_this_thread(2), 0); });
    const std::jthread second([this] { EXPECT_EQ(create_on_this_thread(3), 0); });
    const std::jthread reader(
        [&session] { EXPECT_TRUE(test::read_file(*session.device, 0, 0, 4).has_value()); });
  }
  EXPECT_EQ(world.bus->instances().size(), 3U);
}

TEST_F(NoLockRule, D26_a_create_and_two_removes_overlap) {
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(create(2), 0);
  Meeting meeting(3);
  script->during_create = [&meeting](const Uuid&) { EXPECT_TRUE(meeting.arrive()); };
  script->during_remove = [&meeting](const Uuid&) { EXPECT_TRUE(meeting.arrive()); };
  {
    const std::jthread first([this] { EXPECT_EQ(begin_remove(1).error(), 0); });
    const std::jthread second([this] { EXPECT_EQ(begin_remove(2).error(), 0); });
    const std::jthread creator([this] { EXPECT_EQ(create_on_this_thread(3), 0); });
  }
  EXPECT_EQ(world.bus->instances().size(), 1U);
}

TEST_F(NoLockRule, D26_reading_the_tree_does_not_wait_for_a_create) {
  Meeting inside(2);
  Meeting leave(2);
  script->during_create = [&](const Uuid&) {
    EXPECT_TRUE(inside.arrive());
    EXPECT_TRUE(leave.arrive());
  };
  {
    const std::jthread creator([this] { EXPECT_EQ(create_on_this_thread(1), 0); });
    ASSERT_TRUE(inside.arrive());
    EXPECT_EQ(available(), "7\n");
    EXPECT_EQ(create_on_this_thread(1), EEXIST);
    EXPECT_TRUE(leave.arrive());
  }
}

// The driver's object is not destroyed under a thread that sits inside it for longer than everybody waited.
TEST_F(NoLockRule, a_vendor_that_blocks_in_create_past_the_deadline_outlives_its_registration) {
  Meeting inside(2);
  Meeting leave(2);
  script->during_create = [&](const Uuid&) {
    EXPECT_TRUE(inside.arrive());
    EXPECT_TRUE(leave.arrive());
    EXPECT_FALSE(script->destroyed);
  };
  Pending<> ended;
  {
    const std::jthread creator([this] { EXPECT_EQ(create_on_this_thread(1), ETIMEDOUT); });
    ASSERT_TRUE(inside.arrive());
    world.host.advance(world.core->limits().access_deadline);
    parent.unregister(RemovePolicy::wait, ended.done());
    world.host.run();
    EXPECT_EQ(ended.error(), 0) << "nobody waits for it any more";
    EXPECT_TRUE(leave.arrive());
  }
  EXPECT_TRUE(script->destroyed);
  EXPECT_EQ(script->live_devices(), 0U);
}

// The same for one that is shown a file of the types while these are taken away.
TEST_F(NoLockRule, an_unregistration_waits_for_files_that_are_being_read) {
  Meeting inside(2);
  Meeting leave(2);
  script->during_available = [&] {
    EXPECT_TRUE(inside.arrive());
    EXPECT_TRUE(leave.arrive());
    EXPECT_FALSE(script->destroyed);
  };
  std::atomic<bool> ended = false;
  {
    const std::jthread reader([this] { EXPECT_EQ(available(), "8\n"); });
    ASSERT_TRUE(inside.arrive());
    parent.unregister(RemovePolicy::wait, [&ended](Result<>) { ended = true; });
    world.host.run();
    EXPECT_FALSE(exists(std::string(card) + "/mdev_supported_types")) << "nobody finds them any more";
    EXPECT_FALSE(ended);
    EXPECT_TRUE(leave.arrive());
  }
  EXPECT_TRUE(ended);
  EXPECT_TRUE(script->destroyed);
}

// --- The translation API: pinning through whatever back end the container has.

class Translation : public VendorCallbacks {
 public:
  static constexpr iommu::Iova iova = 0x10000;
  void map(vfio::Container& container) {
    ASSERT_TRUE(
        container.iommu().value()->map({.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                                        .iova = iova,
                                        .size = 0x4000,
                                        .vaddr = 0x7f0000000000,
                                        .backing = std::make_shared<test::MemoryBacking>(0x4000),
                                        .backing_offset = 0}));
  }
};

TEST_F(Translation, D46_type1_pins_the_users_pages_for_the_vendor) {
  auto session = world.open_instance(uuid(1));
  map(*session.container);
  ASSERT_NE(device->user, nullptr);
  EXPECT_TRUE(device->user->pin({iova, 0x1000}, iommu::Access::read_write).has_value());
  EXPECT_EQ(device->user->pin({0, 0x1000}, iommu::Access::read).error().code, EINVAL) << "not mapped";
}

TEST_F(Translation, D46_a_back_end_that_cannot_pin_is_enotty) {
  auto other = world.core
                   ->register_iommu_driver(std::make_shared<test::FakeIommuDriver>(
                       test::FakeIommuOptions{.name = "no_pins", .extensions = {99}}))
                   .value();
  auto container = world.core->open_container();
  auto group = world.open_group(uuid(1));
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(99));
  auto file = MdevWorld::get_device(*group, name(1)).value();
  ASSERT_NE(device->user, nullptr);
  EXPECT_EQ(device->user->pin({iova, 0x1000}, iommu::Access::read).error().code, ENOTTY);
  std::byte bytes[4];
  Outcome<> copied;
  device->user->dma_read(iova, bytes, copied.done());
  EXPECT_EQ(copied.error(), ENOTTY);
}

}  // namespace
}  // namespace umdev::mdev
