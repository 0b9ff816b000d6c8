// Parents of 4.10's API: what is mandatory, what may be missing, and what comes of it.
#include <cstring>

#include "tests/support/fake_backing.h"
#include "tests/unit/kernel/module_fixture.h"

namespace umdev::kernel {
namespace {

using test::read_file;
using test::write_file;

class OldParent : public ModuleTest {
 public:
  // The errno of loading the module with one callback missing.
  int insmod_without(const std::string& missing) {
    EXPECT_EQ(load("old_parent"), 0);
    EXPECT_TRUE(module().set_parameter("missing", missing));
    return init();
  }
  test::CoreWorld::Session open(unsigned n) { return world.open_instance(test::MdevWorld::uuid(n)); }
  int error_of_open(unsigned n) {
    const auto container = world.core->open_container();
    const auto group = world.open_group(test::MdevWorld::uuid(n));
    EXPECT_TRUE(group->set_container(container));
    EXPECT_TRUE(container->set_iommu(abi::vfio_type1v2_iommu));
    return test::error_of(test::CoreWorld::get_device(*group, test::MdevWorld::uuid(n).to_string()));
  }
  static std::string path(unsigned n) {
    return "/devices/virtual/old/old/" + test::MdevWorld::uuid(n).to_string();
  }
};

TEST_F(OldParent, D12_D16_D17_D18_a_parent_without_what_is_mandatory_is_einval) {
  for (const char* missing : {"create", "remove", "supported_type_groups", "group name"}) {
    EXPECT_EQ(insmod_without(missing), EINVAL) << missing;
    EXPECT_FALSE(world.tree.lookup("/devices/virtual/old/old")) << missing;
    reset();
  }
}

TEST_F(OldParent, D12_a_device_is_a_parent_once) {
  ASSERT_EQ(insmod_without("nothing, twice"), 0);
  EXPECT_TRUE(world.host.log().contains("again: -17"));
}

TEST_F(OldParent, D14_D15_D16_types_and_attributes_are_in_the_tree) {
  ASSERT_EQ(insmod_without(""), 0);
  const std::string type = "/devices/virtual/old/old/mdev_supported_types/old-one";
  EXPECT_EQ(show(type + "/name"), "old old-one\n");
  EXPECT_EQ(show(type + "/device_api"), "vfio-pci\n");
  EXPECT_EQ(show(type + "/available_instances"), "3\n");
  EXPECT_FALSE(world.tree.lookup(type + "/description"));
  EXPECT_EQ(show("/devices/virtual/old/old/card"), "card old\n");
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  EXPECT_EQ(show(type + "/available_instances"), "2\n");
  EXPECT_EQ(show(path(1) + "/vendor/opens"), "0\n");
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(show(type + "/available_instances"), "3\n");
}

TEST_F(OldParent, D38_a_type_has_attributes_of_the_vendors_own) {
  ASSERT_EQ(insmod_without(""), 0);
  const std::string file = "/devices/virtual/old/old/mdev_supported_types/old-one/colour";
  EXPECT_EQ(show(file), "old-one of old: 7\n");
  EXPECT_EQ(store(file, "3\n"), 0);
  EXPECT_EQ(show(file), "old-one of old: 3\n");
  EXPECT_EQ(store(file, "red"), ERANGE);
}

TEST_F(OldParent, D17_an_error_of_create_leaves_nothing) {
  ASSERT_EQ(load("old_parent"), 0);
  ASSERT_TRUE(module().set_parameter("create_error", "-28"));
  ASSERT_EQ(init(), 0);
  EXPECT_EQ(create(1, "old", "old-one"), ENOSPC);
  EXPECT_FALSE(world.tree.lookup(path(1)));
}

TEST_F(OldParent, D18_a_busy_device_may_be_kept_and_a_forced_end_goes_through) {
  ASSERT_EQ(load("old_parent"), 0);
  ASSERT_TRUE(module().set_parameter("refuse", "-16"));
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  {
    const auto session = open(1);
    EXPECT_EQ(remove(1), EBUSY);
    EXPECT_TRUE(world.tree.lookup(path(1)));
    EXPECT_TRUE(read_file(*session.device, 0, 0, 4));
  }
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(unload(), 0);
  EXPECT_TRUE(world.host.log().contains("0 devices left"));
}

TEST_F(OldParent, D19_a_parent_without_open_cannot_be_opened) {
  ASSERT_EQ(insmod_without("open"), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  EXPECT_EQ(error_of_open(1), EINVAL);
}

TEST_F(OldParent, D20_release_may_be_missing) {
  ASSERT_EQ(insmod_without("release"), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  EXPECT_TRUE(open(1).device);
}

TEST_F(OldParent, D21_read_and_write_that_are_missing_are_einval) {
  ASSERT_EQ(insmod_without("read"), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  EXPECT_EQ(read_file(*open(1).device, 0, 0, 4).error().code, EINVAL);
}

TEST_F(OldParent, D22_a_device_without_ioctl_cannot_say_what_it_is) {
  ASSERT_EQ(insmod_without("ioctl"), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  EXPECT_EQ(error_of_open(1), EINVAL);
}

TEST_F(OldParent, D23_mmap_that_is_missing_is_einval) {
  ASSERT_EQ(insmod_without(""), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  const auto session = open(1);
  EXPECT_EQ(session.device->mmap({.region = 0, .offset = 0, .length = 64}).error().code, EINVAL);
}

TEST_F(OldParent, D24_a_user_who_cannot_be_asked_is_told_of_in_the_log) {
  ASSERT_EQ(insmod_without(""), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  auto session = open(1);
  std::atomic<bool> gone = false;
  world.bus->remove(test::MdevWorld::uuid(1), RemovePolicy::force, [&](Result<>) { gone = true; });
  EXPECT_TRUE(
      run_until([&] { return world.host.log().contains("No mdev vendor driver request callback support"); }));
  session = {};
  EXPECT_TRUE(run_until([&] { return gone.load(); }));
}

TEST_F(OldParent, C34_C37_a_pin_by_frames_ends_when_its_memory_goes) {
  ASSERT_EQ(insmod_without(""), 0);
  ASSERT_EQ(create(1, "old", "old-one"), 0);
  const auto session = open(1);
  const auto iommu = session.container->iommu().value();
  const auto backing = std::make_shared<test::MemoryBacking>(4 * iommu::page_size);
  std::memcpy(backing->bytes().data() + iommu::page_size, "kern", 4);
  ASSERT_TRUE(iommu->map({.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                          .iova = 0x100000,
                          .size = 4 * iommu::page_size,
                          .vaddr = 0,
                          .backing = backing,
                          .backing_offset = 0}));
  const std::uint32_t frame = 0x101;
  EXPECT_EQ(write_file(*session.device, 0, 0, std::as_bytes(std::span(&frame, 1))).value(), 4U);
  const auto read = read_file(*session.device, 0, 0, 4).value();
  EXPECT_EQ(std::memcmp(read.data(), "kern", 4), 0);
  EXPECT_EQ(
      wait_for_end<std::uint64_t>([&](Done<std::uint64_t> done) {
        iommu->unmap(
            {.flags = 0, .iova = 0x100000, .size = 4 * iommu::page_size, .bitmap_page_size = 0, .bitmap = {}},
            std::move(done));
      }),
      0);
  EXPECT_TRUE(world.host.log().contains("unmap 0x100000"));
  const std::uint32_t nowhere = 0x900;
  EXPECT_EQ(write_file(*session.device, 0, 0, std::as_bytes(std::span(&nowhere, 1))).error().code, EINVAL);
}

}  // namespace
}  // namespace umdev::kernel
