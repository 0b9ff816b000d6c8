// Descriptors that come with a request, as a driver takes them: fget() and eventfd_ctx_fileget().
#include <array>

#include "tests/unit/kernel/module_fixture.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/event_fd.h"

namespace umdev::kernel {
namespace {

struct Descriptors : ModuleTest {
  // The errno of SET_IRQS with one descriptor.
  static int trigger(vfio::DeviceFile& device, os::UniqueFd fd) {
    std::array<os::UniqueFd, 1> descriptors{std::move(fd)};
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                             .index = 0,
                             .start = 0,
                             .count = 1,
                             .eventfds = descriptors};
    return test::error_of(device.set_irqs(request));
  }
};

TEST_F(Descriptors, an_eventfd_that_came_is_a_file_and_nothing_else_is) {
  for (const char* const name : {"reacher", "reacher_7_0"}) {
    ASSERT_EQ(insmod(name), 0);
    ASSERT_EQ(create(1, "reacher", "reacher-one"), 0);
    {
      const auto session = world.open_instance(test::MdevWorld::uuid(1));
      auto event = os::EventFd::create().value();
      EXPECT_EQ(trigger(*session.device, event.dup().value()), 0);
      EXPECT_EQ(event.take(), 1U);
    }
    EXPECT_EQ(remove(1), 0);
    EXPECT_EQ(unload(), 0);
    EXPECT_FALSE(world.host.log().contains("left the file")) << "each was put";
    reset();
  }
}

}  // namespace
}  // namespace umdev::kernel
