#include "drivers/mtty/parent.h"

#include <gtest/gtest.h>

#include "tests/support/mdev_world.h"

namespace umdev::mtty {
namespace {

using test::MdevWorld;

class MttyParentTest : public testing::Test {
 public:
  std::string show(const std::string& attribute) {
    return world.tree.read("/devices/virtual/mtty/mtty/" + attribute).value_or("nothing");
  }
  int create(const std::string& type, unsigned n) { return world.create("mtty", type, MdevWorld::uuid(n)); }
  std::string available(const std::string& type) {
    return show("mdev_supported_types/" + type + "/available_instances");
  }

  MdevWorld world;
  Registration parent = world.register_parent("mtty", MttyParent::spec(5), std::make_unique<MttyParent>());
};

TEST_F(MttyParentTest, offers_cards_with_one_port_and_with_two) {
  EXPECT_EQ(show("mdev_supported_types/mtty-1/name"), "Single port serial\n");
  EXPECT_EQ(show("mdev_supported_types/mtty-2/name"), "Dual port serial\n");
  for (const std::string type : {"mtty-1", "mtty-2"}) {
    EXPECT_EQ(show("mdev_supported_types/" + type + "/device_api"), "vfio-pci\n");
    EXPECT_EQ(show("mdev_supported_types/" + type + "/description"), "nothing") << "no such file";
  }
}

TEST_F(MttyParentTest, both_types_draw_from_one_pool_of_ports) {
  EXPECT_EQ(available("mtty-1"), "5\n");
  EXPECT_EQ(available("mtty-2"), "2\n");
  EXPECT_EQ(create("mtty-2", 1), 0);
  EXPECT_EQ(create("mtty-2", 2), 0);
  EXPECT_EQ(available("mtty-1"), "1\n");
  EXPECT_EQ(available("mtty-2"), "0\n");
  EXPECT_EQ(create("mtty-2", 3), ENOSPC);
  EXPECT_EQ(create("mtty-1", 3), 0);
  EXPECT_EQ(create("mtty-1", 4), ENOSPC);
  EXPECT_EQ(world.remove(MdevWorld::uuid(1)), 0);
  EXPECT_EQ(available("mtty-2"), "1\n");
}

TEST_F(MttyParentTest, an_instance_has_the_ports_of_its_type) {
  for (const unsigned ports : {1U, 2U}) {
    ASSERT_EQ(create("mtty-" + std::to_string(ports), ports), 0);
    const auto session = world.open_instance(MdevWorld::uuid(ports));
    EXPECT_EQ(session.device->region_info(0)->size, 8U);
    EXPECT_EQ(session.device->region_info(1)->size, ports == 2 ? 8U : 0U);
  }
}

TEST_F(MttyParentTest, an_instance_tells_its_uuid) {
  ASSERT_EQ(create("mtty-1", 0xabcdef), 0);
  const std::string uuid = "00abcdef-0000-4000-8000-000000000000";
  EXPECT_EQ(show(uuid + "/vendor/sample_mdev_dev"), "This is MDEV " + uuid + "\n");
}

}  // namespace
}  // namespace umdev::mtty
