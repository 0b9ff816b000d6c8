#include "umdev/kernel/module.h"

#include "tests/unit/kernel/module_fixture.h"

namespace umdev::kernel {
namespace {

using test::read_file;
using test::write_file;

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

TEST_F(ModuleTest, a_module_says_what_it_is) {
  ASSERT_EQ(load("page"), 0);
  EXPECT_EQ(module().name(), "page");
  EXPECT_EQ(module().api(), 0x060100U);
  EXPECT_EQ(module().note("license"), "GPL");
  EXPECT_EQ(module().note("description"), "A page");
  EXPECT_EQ(module().note("version"), "");
  EXPECT_EQ(module().parameters().size(), 3U);
}

TEST_F(ModuleTest, D27_a_parent_of_a_module_offers_its_types) {
  ASSERT_EQ(insmod("page"), 0);
  const std::string type = "/devices/virtual/page/page/mdev_supported_types/page-small";
  EXPECT_EQ(show(type + "/name"), "Small page\n");
  EXPECT_EQ(show(type + "/device_api"), "vfio-pci\n");
  EXPECT_EQ(show(type + "/description"), "a page, Small page\n");
  EXPECT_EQ(show(type + "/available_instances"), "4\n");
  EXPECT_EQ(unload(), 0);
  EXPECT_FALSE(world.tree.lookup("/devices/virtual/page/page"));
  EXPECT_FALSE(world.tree.lookup("/class/page"));
}

TEST_F(ModuleTest, a_read_reaches_the_module_and_is_answered_inline) {
  ASSERT_EQ(insmod("page"), 0);
  ASSERT_EQ(create(1, "page", "page-small"), 0);
  {
    const auto session = world.open_instance(test::MdevWorld::uuid(1));
    EXPECT_EQ(read_file(*session.device, 0, 16, 4).value(), bytes({16, 17, 18, 19}));
    EXPECT_EQ(write_file(*session.device, 0, 17, bytes({99})).value(), 1U);
    EXPECT_EQ(read_file(*session.device, 0, 16, 4).value(), bytes({16, 99, 18, 19}));
  }
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(unload(), 0);
  EXPECT_TRUE(world.host.log().contains("page: 0 devices left"));
}

TEST_F(ModuleTest, trees_arrays_numbers_and_chains_are_what_they_are_in_the_kernel) {
  EXPECT_EQ(insmod("trees"), 0);
  EXPECT_EQ(unload(), 0);
}

TEST_F(ModuleTest, the_everyday_headers_do_as_the_kernels) {
  EXPECT_EQ(insmod("small"), 0);
}

TEST_F(ModuleTest, C35_C36_C43_the_helpers_of_the_headers_do_as_the_kernels) {
  EXPECT_EQ(insmod("helpers"), 0);
}

TEST_F(ModuleTest, parameters_are_set_before_the_beginning_and_checked) {
  ASSERT_EQ(load("page"), 0);
  EXPECT_EQ(module().set_parameter("nothing", "1").error().code, ENOENT);
  EXPECT_EQ(module().set_parameter("instances", "two").error().code, EINVAL);
  EXPECT_EQ(module().set_parameter("instances", "99999999999").error().code, ERANGE);
  EXPECT_EQ(module().set_parameter("leave", "maybe").error().code, EINVAL);
  EXPECT_TRUE(module().set_parameter("instances", "0x2"));
  ASSERT_EQ(init(), 0);
  EXPECT_TRUE(world.host.log().contains("page: ready, 2 instances"));
  EXPECT_EQ(module().set_parameter("instances", "3").error().code, EBUSY);
  EXPECT_EQ(unload(), 0);
}

TEST_F(ModuleTest, a_beginning_that_fails_leaves_nothing) {
  leaves_memory = true;
  for (const int step : {1, 2, 3, 4}) {
    ASSERT_EQ(load("page"), 0);
    ASSERT_TRUE(module().set_parameter("fail_at", std::to_string(step)));
    EXPECT_EQ(init(), step == 1 ? ENXIO : EDOM);
    EXPECT_FALSE(world.tree.lookup("/devices/virtual/page/page")) << step;
    EXPECT_FALSE(world.tree.lookup("/bus/mdev/drivers/page")) << step;
    EXPECT_FALSE(world.tree.lookup("/class/page")) << step;
    reset();
  }
}

TEST_F(ModuleTest, an_end_that_leaves_everything_is_tidied) {
  leaves_memory = true;
  ASSERT_EQ(load("page"), 0);
  ASSERT_TRUE(module().set_parameter("leave", "y"));
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(create(1, "page", "page-small"), 0);
  EXPECT_EQ(unload(), 0);
  EXPECT_TRUE(world.host.log().contains("left the parent 'page' registered"));
  EXPECT_FALSE(world.tree.lookup("/devices/virtual/page/page"));
}

TEST_F(ModuleTest, A10_B2_an_error_of_init_or_probe_is_the_creations) {
  ASSERT_EQ(load("page"), 0);
  ASSERT_TRUE(module().set_parameter("fail_at", "5"));
  ASSERT_EQ(init(), 0);
  EXPECT_EQ(create(1, "page", "page-small"), EDOM);
  EXPECT_EQ(show("/devices/virtual/page/page/mdev_supported_types/page-small/available_instances"), "4\n");
  EXPECT_EQ(unload(), 0);
  EXPECT_TRUE(world.host.log().contains("page: 0 devices left"));
}

TEST_F(ModuleTest, D15_attributes_of_the_driver_are_there_while_it_has_the_device) {
  ASSERT_EQ(insmod("page"), 0);
  ASSERT_EQ(create(1, "page", "page-small"), 0);
  const std::string first =
      "/devices/virtual/page/page/" + test::MdevWorld::uuid(1).to_string() + "/vendor/first";
  EXPECT_EQ(show(first), "0\n");
  EXPECT_EQ(store(first, "A"), 0);
  EXPECT_EQ(show(first), "65\n");
  EXPECT_EQ(store(first, "x"), ERANGE);
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(show(first), "errno ENOENT");
}

TEST_F(ModuleTest, D13_a_module_stays_while_a_device_is_open_unless_it_is_forced) {
  ASSERT_EQ(insmod("page"), 0);
  ASSERT_EQ(create(1, "page", "page-small"), 0);
  auto session = world.open_instance(test::MdevWorld::uuid(1));
  EXPECT_EQ(unload(), EBUSY);
  EXPECT_TRUE(read_file(*session.device, 0, 0, 1));
  session = {};
  EXPECT_EQ(unload(), 0);
}

TEST_F(ModuleTest, B6_bounds_are_what_the_driver_said_of_its_regions) {
  ASSERT_EQ(insmod("page"), 0);
  ASSERT_EQ(create(1, "page", "page-small"), 0);
  const auto session = world.open_instance(test::MdevWorld::uuid(1));
  EXPECT_EQ(read_file(*session.device, 0, 4094, 4).error().code, EINVAL);
  EXPECT_EQ(read_file(*session.device, 1, 0, 1).error().code, EINVAL);
  EXPECT_EQ(session.device->ioctl({.command = 1, .argument = {}}).error().code, ENOTTY);
}

}  // namespace
}  // namespace umdev::kernel
