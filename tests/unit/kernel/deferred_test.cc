// Work, timers and threads of modules. What they do is tried in C, in modules/later.c.
#include "tests/unit/kernel/module_fixture.h"

namespace umdev::kernel {
namespace {

class Later : public ModuleTest, public testing::WithParamInterface<const char*> {};

TEST_P(Later, work_timers_and_threads_do_as_the_kernels) {
  EXPECT_EQ(insmod(GetParam()), 0);
  EXPECT_FALSE(world.host.log().contains(": not "));
  EXPECT_EQ(unload(), 0);
  EXPECT_FALSE(world.host.log().contains(" left "));
}
INSTANTIATE_TEST_SUITE_P(Vintages, Later, testing::Values("later", "later_4_10"));

TEST_F(ModuleTest, what_a_module_leaves_at_work_ends_with_it) {
  ASSERT_EQ(load("later"), 0);
  ASSERT_TRUE(module().set_parameter("leave", "wdtqk"));
  ASSERT_EQ(init(), 0);
  EXPECT_EQ(unload(), 0);
  EXPECT_TRUE(world.host.log().contains("left work or timers behind: "));
  EXPECT_TRUE(world.host.log().contains("left the work queue 'left' registered"));
  EXPECT_TRUE(world.host.log().contains("left the thread 'left' registered"));
}

TEST_F(ModuleTest, a_timer_goes_off_when_its_time_has_come) {
  ASSERT_EQ(load("later"), 0);
  ASSERT_TRUE(module().set_parameter("leave", "t"));
  ASSERT_EQ(init(), 0);
  world.host.log().clear();
  world.host.advance(std::chrono::hours(1));
  EXPECT_TRUE(run_until([&] { return world.host.log().contains("ticked"); }));
  EXPECT_EQ(unload(), 0);
  EXPECT_FALSE(world.host.log().contains("left work"));
}

}  // namespace
}  // namespace umdev::kernel
