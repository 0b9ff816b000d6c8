// Rows B5 to B9, B13, B14, C37: what can be done with an open device.
#include "umdev/vfio/device_file.h"

#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/fake_iommu_driver.h"
#include "tests/support/feature.h"
#include "tests/support/outcome.h"
#include "umdev/iommu/no_iommu.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;
using test::error_of;
using test::feature;
using test::Outcome;

struct Open {
  CoreWorld world;
  CoreWorld::Registered device;
  CoreWorld::Session session;
  std::shared_ptr<std::vector<std::byte>> buffer = std::make_shared<std::vector<std::byte>>(512);

  explicit Open(std::shared_ptr<test::DeviceScript> script = std::make_shared<test::DeviceScript>())
      : device(world.add_device("a", std::move(script))), session(world.open(device)) {}

  int read(std::uint32_t region, std::uint64_t offset, std::size_t size) {
    Outcome<std::size_t> outcome;
    session.device->read(region, offset, Bytes(*buffer).first(size), buffer, outcome.done());
    return outcome.error();
  }
  int write(std::uint32_t region, std::uint64_t offset, std::size_t size) {
    Outcome<std::size_t> outcome;
    session.device->write(region, offset, ConstBytes(*buffer).first(size), buffer, outcome.done());
    return outcome.error();
  }
};

TEST(Access, B5_B6_reads_and_writes_reach_the_driver) {
  Open open;
  EXPECT_EQ(open.read(0, 16, 4), 0);
  EXPECT_EQ((*open.buffer)[3], std::byte{0x5a});
  EXPECT_EQ((*open.buffer)[4], std::byte{0});
  EXPECT_EQ(open.write(0, 252, 4), 0);
  EXPECT_EQ(open.device.script->count("read"), 1U);
  EXPECT_EQ(open.device.script->count("write"), 1U);
}

TEST(Access, B5_B6_bounds_are_checked_before_the_driver_is_asked) {
  auto script = std::make_shared<test::DeviceScript>();
  script->regions = {{.flags = 3, .size = 256}, {.flags = abi::vfio_region_info_flag_read, .size = 16}, {}};
  Open open(script);
  struct Case {
    std::uint32_t region;
    std::uint64_t offset;
    std::size_t size;
    int read;
    int write;
  };
  for (const Case& c :
       {Case{0, 253, 4, EINVAL, EINVAL}, Case{0, 256, 1, EINVAL, EINVAL},
        Case{0, UINT64_MAX, 4, EINVAL, EINVAL}, Case{0, UINT64_MAX - 2, 3, EINVAL, EINVAL},
        Case{1, 0, 4, 0, EINVAL}, Case{2, 0, 1, EINVAL, EINVAL}, Case{3, 0, 1, EINVAL, EINVAL},
        Case{UINT32_MAX, 0, 1, EINVAL, EINVAL}, Case{0, 0, 0, 0, 0}, Case{0, 256, 0, 0, 0}}) {
    EXPECT_EQ(open.read(c.region, c.offset, c.size), c.read) << c.region << " " << c.offset << " " << c.size;
    EXPECT_EQ(open.write(c.region, c.offset, c.size), c.write)
        << c.region << " " << c.offset << " " << c.size;
  }
  EXPECT_EQ(script->count("read"), 1U);
  EXPECT_EQ(script->count("write"), 0U);
}

TEST(Access, B5_B6_B9_a_device_without_the_callback_is_einval) {
  struct Bare final : Device {
    std::string_view name() const override { return "bare"; }
    DeviceInfo info() const override { return {.num_regions = 1}; }
    Result<RegionInfo> region_info(std::uint32_t) const override {
      return RegionInfo{.flags = 7, .size = 4096};
    }
    Result<IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "none"); }
  };
  CoreWorld world;
  CoreWorld::Registered device{.parent = world.add_parent("a")};
  auto registered =
      world.core->register_emulated_device(std::make_unique<Bare>(), {.parent = device.parent}).value();
  device.group = registered.device->group()->iommu_group().number();
  auto session = world.open(device);
  auto buffer = std::make_shared<std::vector<std::byte>>(4);
  Outcome<std::size_t> read, write;
  session.device->read(0, 0, *buffer, buffer, read.done());
  session.device->write(0, 0, *buffer, buffer, write.done());
  EXPECT_EQ(read.error(), EINVAL);
  EXPECT_EQ(write.error(), EINVAL);
  EXPECT_EQ(error_of(session.device->mmap({.region = 0, .length = 4096})), EINVAL);
  Outcome<> reset;
  session.device->reset(reset.done());
  EXPECT_EQ(reset.error(), ENOTTY);
  EXPECT_EQ(error_of(session.device->ioctl({.command = 5})), ENOTTY) << "B7";
  EXPECT_EQ(error_of(feature(*session.device, {.flags = abi::vfio_device_feature_get | 5})), ENOTTY) << "B14";
}

TEST(Access, an_access_may_complete_later_and_others_overtake_it) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> later;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, later.done());
  EXPECT_FALSE(later.is_done());
  open.device.script->hold_access = false;
  EXPECT_EQ(open.write(0, 0, 4), 0);
  open.device.script->reads.front().complete(std::size_t{4});
  EXPECT_EQ(later.value(), 4U);
  EXPECT_EQ(open.world.host.clock().pending_timers(), 0U) << "its deadline went with it";
}

TEST(Access, a_request_that_is_dropped_is_eio) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> outcome;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, outcome.done());
  open.device.script->reads.clear();
  EXPECT_EQ(outcome.error(), EIO);
}

TEST(Access, one_that_is_never_completed_is_etimedout_and_faults_the_device) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> outcome;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, outcome.done());
  open.world.host.advance(std::chrono::milliseconds(1999));
  EXPECT_FALSE(outcome.is_done());
  open.world.host.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(outcome.error(), ETIMEDOUT);
  EXPECT_TRUE(open.device.device->faulted());
  EXPECT_EQ(open.read(0, 0, 4), EIO);
  EXPECT_EQ(error_of(open.session.device->info()), EIO);
  // The driver's late answer touches a buffer that it still owns, and reaches nobody.
  const std::weak_ptr<void> buffer = open.buffer;
  open.buffer.reset();
  EXPECT_FALSE(buffer.expired());
  open.device.script->reads.front().complete_all();
  open.device.script->reads.clear();
  EXPECT_TRUE(buffer.expired());
}

TEST(Access, more_bytes_than_were_asked_for_is_eio_and_a_fault) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> outcome;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, outcome.done());
  open.device.script->reads.front().complete(std::size_t{5});
  EXPECT_EQ(outcome.error(), EIO);
  EXPECT_TRUE(open.device.device->faulted());
}

TEST(Access, too_many_under_way_is_eagain) {
  CoreWorld world({.limits = {.accesses_per_file = 2}});
  auto device = world.add_device("a");
  auto session = world.open(device);
  device.script->hold_access = true;
  auto buffer = std::make_shared<std::vector<std::byte>>(4);
  Outcome<std::size_t> one, two, three;
  session.device->read(0, 0, *buffer, buffer, one.done());
  session.device->read(0, 0, *buffer, buffer, two.done());
  session.device->read(0, 0, *buffer, buffer, three.done());
  EXPECT_EQ(three.error(), EAGAIN);
  device.script->reads.clear();
}

TEST(Access, closing_the_file_waits_for_accesses_that_are_under_way) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> outcome;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, outcome.done());
  open.session.device.reset();
  EXPECT_EQ(open.device.script->count("close"), 0U);
  open.device.script->reads.front().complete_all();
  EXPECT_TRUE(outcome.succeeded());
  open.device.script->reads.clear();
  EXPECT_EQ(open.device.script->count("close"), 1U);
}

TEST(Access, a_device_taken_away_by_force_answers_what_is_under_way_with_enodev) {
  Open open;
  open.device.script->hold_access = true;
  Outcome<std::size_t> outcome;
  open.session.device->read(0, 0, Bytes(*open.buffer).first(4), open.buffer, outcome.done());
  test::Ending ending(open.device.registration, RemovePolicy::force);
  open.world.host.advance(std::chrono::seconds(1));
  EXPECT_FALSE(outcome.is_done());
  open.world.host.advance(std::chrono::seconds(4));
  EXPECT_NE(outcome.error(), -1);
  EXPECT_TRUE(ending.ended());
  EXPECT_EQ(open.world.core->status().abandoned_devices, 1U) << "the driver still holds a request";
  open.device.script->reads.clear();
}

TEST(Reset, waits_its_turn_and_has_a_deadline) {
  Open open;
  open.device.script->hold_reset = true;
  Outcome<> first, second;
  open.session.device->reset(first.done());
  open.session.device->reset(second.done());
  EXPECT_EQ(open.device.script->count("reset"), 1U) << "resets of a device set are one at a time";
  open.device.script->take(open.device.script->held_reset)();
  EXPECT_TRUE(first.succeeded());
  EXPECT_EQ(open.device.script->count("reset"), 2U);
  open.world.host.advance(std::chrono::seconds(2));
  EXPECT_EQ(second.error(), ETIMEDOUT);
  EXPECT_TRUE(open.device.device->faulted());
}

TEST(Ioctl, B7_unknown_commands_are_the_drivers_enotty) {
  Open open;
  EXPECT_EQ(open.session.device->ioctl({.command = 1}).value(), 42U);
  EXPECT_EQ(error_of(open.session.device->ioctl({.command = 2})), ENOTTY);
}

TEST(RegionInfo, B8_info_comes_from_the_driver_and_indexes_are_checked) {
  Open open;
  EXPECT_EQ(open.session.device->region_info(0)->size, 256U);
  EXPECT_EQ(error_of(open.session.device->region_info(1)), EINVAL);
  EXPECT_EQ(open.session.device->irq_info(0)->count, 1U);
  EXPECT_EQ(error_of(open.session.device->irq_info(1)), EINVAL);
}

TEST(Mmap, B9_only_a_region_that_says_so_can_be_mapped) {
  auto script = std::make_shared<test::DeviceScript>();
  script->regions = {{.flags = 3, .size = 8192}, {.flags = 7, .size = 8192}};
  Open open(script);
  EXPECT_EQ(error_of(open.session.device->mmap({.region = 0, .length = 4096})), EINVAL);
  EXPECT_EQ(error_of(open.session.device->mmap({.region = 1, .offset = 8192, .length = 4096})), EINVAL);
  EXPECT_EQ(error_of(open.session.device->mmap({.region = 1, .length = 0})), EINVAL);
  EXPECT_EQ(error_of(open.session.device->mmap({.region = 1, .length = 8192})), EINVAL)
      << "the scripted device has no mmap";
}

TEST(Feature, B14_get_and_set_exclude_each_other_unless_probed_and_unknown_flags_are_einval) {
  Open open;
  EXPECT_TRUE(feature(*open.session.device, {.flags = 77 | abi::vfio_device_feature_get}));
  EXPECT_EQ(error_of(feature(*open.session.device,
                             {.flags = 77 | abi::vfio_device_feature_get | abi::vfio_device_feature_set})),
            EINVAL);
  EXPECT_TRUE(feature(*open.session.device,
                      {.flags = 77 | abi::vfio_device_feature_get | abi::vfio_device_feature_set |
                                abi::vfio_device_feature_probe}));
  EXPECT_EQ(error_of(feature(*open.session.device, {.flags = 77 | 1U << 20})), EINVAL);
  EXPECT_EQ(error_of(feature(*open.session.device, {.flags = 78 | abi::vfio_device_feature_get})), ENOTTY);
}

TEST(SetIrqs, B7_requests_are_validated_before_the_driver_sees_them) {
  Open open;
  IrqRequest request{
      .flags = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger, .index = 1, .count = 1};
  EXPECT_EQ(error_of(open.session.device->set_irqs(request)), EINVAL);
  request.index = 0;
  request.start = UINT32_MAX;
  EXPECT_EQ(error_of(open.session.device->set_irqs(request)), EINVAL);
}

TEST(SetIrqs, a_device_with_more_vectors_than_the_limit_cannot_be_opened) {
  CoreWorld world({.limits = {.vectors_per_index = 16}});
  auto device = world.add_device("a");
  device.script->irqs = {{.flags = abi::vfio_irq_info_eventfd, .count = 17}};
  auto container = world.core->open_container();
  auto group = world.core->open_group(device.group).value();
  ASSERT_TRUE(group->set_container(container));
  ASSERT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
  EXPECT_EQ(error_of(CoreWorld::get_device(*group, "a")), EINVAL);
  EXPECT_EQ(device.device->reference_count(), 0U);
}

// --- Memory.

struct Mapped : Open {
  std::shared_ptr<test::MemoryBacking> memory = std::make_shared<test::MemoryBacking>(4 * iommu::page_size);
  explicit Mapped(std::shared_ptr<test::DeviceScript> script = std::make_shared<test::DeviceScript>())
      : Open(script) {
    EXPECT_TRUE(session.container->iommu().value()->map(
        {.flags = 3, .iova = 0x10000, .size = 4 * iommu::page_size, .backing = memory}));
  }
};

TEST(Pin, C37_a_pin_reaches_the_users_memory) {
  Mapped mapped;
  auto pin = mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read_write);
  ASSERT_TRUE(pin);
  pin->segments()[0].data[7] = std::byte{0x77};
  EXPECT_EQ(mapped.memory->mapped()[7], std::byte{0x77});
}

TEST(Pin, C37_errors_e2big_no_dma_unmap_enotty_and_groups_of_two) {
  Mapped mapped;
  EXPECT_EQ(error_of(mapped.device.script->user->pin({0x10000, 513 * iommu::page_size}, iommu::Access::read)),
            E2BIG);
  EXPECT_EQ(error_of(mapped.device.script->user->pin({0, 64}, iommu::Access::read)), EINVAL) << "not mapped";
  auto second = mapped.world.add_parent("second");
  ASSERT_TRUE(
      mapped.world.core->add_to_iommu_group(mapped.world.core->iommu_group_of(mapped.device.parent), second));
  EXPECT_EQ(error_of(mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read)), EINVAL);
  mapped.world.core->remove_from_iommu_group(second);
}

TEST(Pin, C37_a_device_without_dma_unmap_is_einval) {
  const auto script = std::make_shared<test::DeviceScript>();
  script->pins_memory = false;
  Mapped mapped(script);
  EXPECT_EQ(error_of(mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read)), EINVAL);
}

TEST(Pin, C37_D46_a_back_end_that_cannot_pin_is_enotty) {
  CoreWorld world({.type1 = false});
  auto driver = std::make_shared<test::FakeIommuDriver>();
  auto registration = world.core->register_iommu_driver(driver).value();
  auto device = world.add_device("a");
  auto session = world.open(device);
  EXPECT_EQ(error_of(device.script->user->pin({0, 64}, iommu::Access::read)), ENOTTY);
  Outcome<> outcome;
  std::byte byte{};
  device.script->user->dma_read(0, Bytes(&byte, 1), outcome.done());
  EXPECT_EQ(outcome.error(), ENOTTY);
}

TEST(Pin, C37_dma_rw_copies_without_a_pin) {
  Mapped mapped;
  std::byte byte{0x42};
  Outcome<> written;
  mapped.device.script->user->dma_write(0x10005, ConstBytes(&byte, 1), written.done());
  EXPECT_TRUE(written.succeeded());
  EXPECT_EQ(mapped.memory->mapped()[5], std::byte{0x42});
}

TEST(DmaUnmap, B13_the_driver_is_told_and_the_unmap_waits_for_its_pin) {
  Mapped mapped;
  auto pin = mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read).value();
  Outcome<std::uint64_t> unmapped;
  mapped.session.container->iommu().value()->unmap({.iova = 0x10000, .size = 4 * iommu::page_size},
                                                   unmapped.done());
  EXPECT_EQ(mapped.device.script->count("dma_unmap"), 1U);
  EXPECT_FALSE(unmapped.is_done());
  pin.unpin();
  EXPECT_EQ(unmapped.value(), 4 * iommu::page_size);
}

TEST(DmaUnmap, B13_a_driver_that_never_unpins_is_faulted_at_the_deadline) {
  Mapped mapped;
  auto pin = mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read).value();
  Outcome<std::uint64_t> unmapped;
  mapped.session.container->iommu().value()->unmap({.iova = 0x10000, .size = 4 * iommu::page_size},
                                                   unmapped.done());
  mapped.world.host.advance(Limits{}.unmap_deadline);
  EXPECT_TRUE(unmapped.succeeded());
  EXPECT_TRUE(pin.revoked());
  EXPECT_TRUE(mapped.device.device->faulted());
}

TEST(DmaUnmap, a_pin_that_close_left_behind_is_revoked) {
  Mapped mapped;
  auto pin = mapped.device.script->user->pin({0x10000, 64}, iommu::Access::read).value();
  mapped.session.device.reset();
  EXPECT_TRUE(pin.revoked());
  EXPECT_EQ(mapped.session.container->iommu().value()->pin_count(), 0U);
}

}  // namespace
}  // namespace umdev::vfio
