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

}  // namespace
}  // namespace umdev::kernel
