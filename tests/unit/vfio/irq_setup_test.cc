// Interrupts that go on in another place: nothing is lost, nothing comes twice.
#include <gtest/gtest.h>

#include "tests/support/fake_watcher.h"
#include "tests/support/irq_client.h"
#include "tests/support/outcome.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::vfio {
namespace {

using test::error_of;

constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;
constexpr std::uint32_t masked_edge = 2;  // of one maskable vector
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t unmask = abi::vfio_irq_set_action_unmask;
constexpr std::uint32_t eventfd = abi::vfio_irq_info_eventfd;
constexpr std::uint32_t maskable = abi::vfio_irq_info_maskable;

const std::vector<IrqInfo> infos{
    {eventfd | maskable | abi::vfio_irq_info_automasked, 1}, {eventfd, 4}, {eventfd | maskable, 1}};

// The same device in two places, and one client.
class IrqMove : public testing::Test {
 public:
  void move() {
    here.suspend();
    ASSERT_TRUE(there.load(here.setup().value()));
    here.disable_all();
    ASSERT_TRUE(there.resume());
    client = test::IrqClient(client, there);
  }

  test::FakeWatcher watcher;
  IrqSet here{infos, &watcher, IrqLayout::other};
  IrqSet there{infos, &watcher, IrqLayout::other};
  test::IrqClient client{here};
};

TEST_F(IrqMove, eventfds_that_were_set_up_are_signalled_there) {
  ASSERT_TRUE(client.listen(msi, 1, 2));
  move();
  EXPECT_TRUE(there.enabled(msi));
  EXPECT_FALSE(there.enabled(intx));
  for (std::uint32_t vector = 0; vector < 4; ++vector) there.raise(msi, vector);
  here.raise(msi, 1);
  EXPECT_EQ(client.take(msi, 1), 1U);
  EXPECT_EQ(client.take(msi, 2), 1U);
}

TEST_F(IrqMove, a_line_that_was_told_is_not_told_again_until_unmasked) {
  ASSERT_TRUE(client.listen(intx));
  here.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  move();
  there.raise(intx);  // it is high still, says its device
  EXPECT_EQ(client.take(intx), 0U);
  ASSERT_TRUE(client.none(unmask, intx));
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqMove, an_edge_that_came_while_masked_is_told_at_unmask) {
  ASSERT_TRUE(client.listen(masked_edge));
  ASSERT_TRUE(client.none(mask, masked_edge));
  here.raise(masked_edge);
  move();
  EXPECT_EQ(client.take(masked_edge), 0U);
  ASSERT_TRUE(client.none(unmask, masked_edge));
  EXPECT_EQ(client.take(masked_edge), 1U);
}

TEST_F(IrqMove, an_unmask_that_comes_on_the_way_is_seen_there) {
  const os::EventFd acknowledged = os::EventFd::create().value();
  ASSERT_TRUE(client.listen(intx));
  ASSERT_TRUE(client.eventfd(unmask, intx, 0, acknowledged.dup().value()));
  here.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  here.suspend();
  acknowledged.signal();
  watcher.deliver();
  EXPECT_EQ(client.take(intx), 0U) << "nobody looks";
  move();
  watcher.deliver();
  EXPECT_EQ(client.take(intx), 1U) << "the line is high yet";
}

TEST_F(IrqMove, a_callback_that_is_late_leaves_the_unmask_to_the_other_place) {
  const os::EventFd acknowledged = os::EventFd::create().value();
  ASSERT_TRUE(client.listen(intx));
  ASSERT_TRUE(client.eventfd(unmask, intx, 0, acknowledged.dup().value()));
  here.raise(intx);
  EXPECT_EQ(client.take(intx), 1U);
  acknowledged.signal();
  Work late = watcher.take_ready();
  here.suspend();
  late();
  move();
  watcher.deliver();
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqMove, what_stays_goes_on) {
  const os::EventFd acknowledged = os::EventFd::create().value();
  ASSERT_TRUE(client.listen(intx));
  ASSERT_TRUE(client.eventfd(unmask, intx, 0, acknowledged.dup().value()));
  here.raise(intx);
  here.suspend();
  ASSERT_TRUE(here.setup());
  ASSERT_TRUE(here.resume());
  EXPECT_EQ(client.take(intx), 1U);
  acknowledged.signal();
  watcher.deliver();
  EXPECT_EQ(client.take(intx), 1U);
}

TEST_F(IrqMove, a_watch_that_cannot_be_had_is_told) {
  const os::EventFd acknowledged = os::EventFd::create().value();
  ASSERT_TRUE(client.listen(intx));
  ASSERT_TRUE(client.eventfd(unmask, intx, 0, acknowledged.dup().value()));
  here.suspend();
  watcher.refuse_next(ENOSPC);
  EXPECT_EQ(error_of(here.resume()), ENOSPC);
}

// Each is one wrong thing in a setup that would do.
TEST_F(IrqMove, what_no_client_could_have_set_up_is_einval) {
  const auto an_eventfd = [] { return os::EventFd::create().value().dup().value(); };
  const auto good = [&] {
    IrqSetup setup(3);
    for (std::size_t index = 0; index < 3; ++index) setup[index].vectors.resize(infos[index].count);
    return setup;
  };
  ASSERT_TRUE(there.load(good()));
  struct Case {
    const char* what;
    void (*spoil)(IrqSetup&, os::UniqueFd);
  };
  const std::vector<Case> cases{
      {"fewer indexes", [](IrqSetup& setup, os::UniqueFd) { setup.pop_back(); }},
      {"fewer vectors", [](IrqSetup& setup, os::UniqueFd) { setup[1].vectors.pop_back(); }},
      {"more vectors", [](IrqSetup& setup, os::UniqueFd) { setup[0].vectors.resize(2); }},
      {"more enabled than there are", [](IrqSetup& setup, os::UniqueFd) { setup[1].vectors_enabled = 5; }},
      {"a line of an edge", [](IrqSetup& setup, os::UniqueFd) { setup[1].vectors[0].line = true; }},
      {"an edge that would be told",
       [](IrqSetup& setup, os::UniqueFd) { setup[1].vectors[0].pending = true; }},
      {"a line that would be told",
       [](IrqSetup& setup, os::UniqueFd fd) {
         setup[0].enabled = setup[0].vectors[0].line = true;
         setup[0].vectors[0].trigger = std::move(fd);
       }},
      {"a trigger of what is off",
       [](IrqSetup& setup, os::UniqueFd fd) { setup[1].vectors[0].trigger = std::move(fd); }},
      {"an unmask of what is off",
       [](IrqSetup& setup, os::UniqueFd fd) { setup[0].vectors[0].unmask = std::move(fd); }},
      {"an unmask of what has no mask",
       [](IrqSetup& setup, os::UniqueFd fd) {
         setup[1].enabled = true;
         setup[1].vectors[0].unmask = std::move(fd);
       }},
      {"no eventfd",
       [](IrqSetup& setup, os::UniqueFd) {
         setup[1].enabled = true;
         setup[1].vectors[3].trigger = os::create_memfd("no eventfd", 1).value();
       }},
  };
  for (const Case& bad : cases) {
    IrqSetup setup = good();
    bad.spoil(setup, an_eventfd());
    EXPECT_EQ(error_of(there.load(std::move(setup))), EINVAL) << bad.what;
    EXPECT_FALSE(there.enabled(intx) || there.enabled(msi)) << bad.what;
  }
}

TEST_F(IrqMove, two_kinds_of_interrupt_of_a_pci_device_are_einval) {
  IrqSet pci{{{eventfd, 1}, {eventfd, 1}}, nullptr};
  IrqSetup setup(2);
  for (IrqIndexSetup& index : setup) {
    index.enabled = true;
    index.vectors.resize(1);
  }
  EXPECT_EQ(error_of(pci.load(std::move(setup))), EINVAL);
}

}  // namespace
}  // namespace umdev::vfio
