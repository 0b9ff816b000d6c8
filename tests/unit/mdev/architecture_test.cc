// The shape of the room itself, as the kernel's documents draw it.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>

#include "umdev/mdev/bus_driver.h"
#include "umdev/mdev/parent_driver.h"

namespace umdev::mdev {
namespace {

std::string text_of(const std::string& file) {
  std::ifstream stream(std::string(UMDEV_MDEV_FOLDER) + "/" + file);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

bool includes(const std::string& file, const std::string& header) {
  return text_of(file).find("#include \"umdev/mdev/" + header + "\"") != std::string::npos;
}

TEST(MdevArchitecture, D2_the_two_interfaces_do_not_know_each_other) {
  ASSERT_NE(text_of("parent_driver.h"), "");
  ASSERT_NE(text_of("bus_driver.h"), "");
  EXPECT_FALSE(includes("parent_driver.h", "bus_driver.h"));
  EXPECT_FALSE(includes("bus_driver.h", "parent_driver.h"));
  EXPECT_FALSE(includes("bus_driver.h", "parent.h")) << "nor by a detour";
  EXPECT_FALSE(includes("parent_driver.h", "vfio_mdev.h"));
  EXPECT_TRUE(includes("bus.h", "bus_driver.h")) << "the core in the middle knows both";
  EXPECT_TRUE(includes("parent.h", "parent_driver.h"));
}

TEST(MdevArchitecture, D7_there_are_two_kinds_of_registration) {
  EXPECT_TRUE((std::is_base_of_v<device::Driver, BusDriver>)) << "one for drivers of the mdev bus";
  EXPECT_FALSE((std::is_base_of_v<device::Driver, ParentDriver>)) << "one for drivers of physical devices";
  EXPECT_FALSE((std::is_base_of_v<ParentDriver, BusDriver>));
}

}  // namespace
}  // namespace umdev::mdev
