// SET_IRQS as the wire has it.
#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/os/event_fd.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;

constexpr std::uint32_t set_eventfds = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t disable = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger;

class SessionIrqs : public test::SessionFixture {
 public:
  SessionIrqs() {
    constexpr std::uint32_t edges = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize;
    script->irqs = {
        {.flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked,
         .count = 1},
        {.flags = edges, .count = 0},
        {.flags = edges, .count = 8},
        {.flags = edges, .count = 1},
        {.flags = edges, .count = 1}};
    device = world.add_device("with-irqs", script);
    open_session();
  }
  int set(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
          std::vector<os::UniqueFd> fds = {}) {
    return ask(abi::vfio_user_device_set_irqs,
               abi::VfioUserIrqSet{
                   .argsz = 20, .flags = flags, .index = index, .start = start, .count = count},
               std::move(fds))
        .error();
  }
  std::vector<os::UniqueFd> event_fds(std::size_t count) {
    std::vector<os::UniqueFd> fds;
    events.clear();
    for (std::size_t i = 0; i < count; ++i) {
      events.push_back(os::EventFd::create().value());
      fds.push_back(events.back().dup().value());
    }
    return fds;
  }
  std::vector<os::EventFd> events;
};

TEST_F(SessionIrqs, each_descriptor_is_a_vectors) {
  EXPECT_EQ(set(set_eventfds, 2, 1, 3, event_fds(3)), 0);
  script->user->irqs().raise(2, 2);
  EXPECT_EQ(events[0].take(), 0u);
  EXPECT_EQ(events[1].take(), 1u);
  EXPECT_EQ(events[2].take(), 0u);
}

// QEMU enables MSI-X with one vector and no descriptor.
TEST_F(SessionIrqs, no_descriptors_mean_minus_one_for_each_vector) {
  EXPECT_EQ(set(set_eventfds, 2, 0, 1), 0);
  EXPECT_TRUE(script->user->irqs().enabled(2));
  script->user->irqs().raise(2, 0);
  EXPECT_EQ(set(disable, 2, 0, 0), 0);
  EXPECT_FALSE(script->user->irqs().enabled(2));
}

TEST_F(SessionIrqs, the_order_in_which_qemu_enables_msix) {
  EXPECT_EQ(set(set_eventfds, 0, 0, 1, event_fds(1)), 0);
  EXPECT_EQ(set(disable, 0, 0, 0), 0);
  EXPECT_EQ(set(set_eventfds, 2, 0, 1), 0);
  EXPECT_EQ(set(disable, 2, 0, 0), 0);
  EXPECT_EQ(set(set_eventfds, 2, 0, 4, event_fds(4)), 0);
  script->user->irqs().raise(2, 3);
  EXPECT_EQ(events[3].take(), 1u);
}

TEST_F(SessionIrqs, bools_fire_their_vectors) {
  EXPECT_EQ(set(set_eventfds, 2, 0, 3, event_fds(3)), 0);
  const abi::VfioUserIrqSet head{.argsz = 23,
                                 .flags = abi::vfio_irq_set_data_bool | abi::vfio_irq_set_action_trigger,
                                 .index = 2,
                                 .start = 0,
                                 .count = 3};
  const Octets bools{std::byte{0}, std::byte{1}, std::byte{1}};
  send(test::command(1, abi::vfio_user_device_set_irqs, {bytes_of(head), bools}));
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_EQ(events[0].take(), 0u);
  EXPECT_EQ(events[1].take(), 1u);
  EXPECT_EQ(events[2].take(), 1u);
}

TEST_F(SessionIrqs, bad_requests_are_einval_and_their_descriptors_closed) {
  const struct {
    const char* what;
    std::uint32_t flags, index, start, count;
    std::size_t fds;
  } cases[] = {
      {"no such index", set_eventfds, 5, 0, 1, 1},
      {"index far away", set_eventfds, UINT32_MAX, 0, 1, 1},
      {"count beyond", set_eventfds, 2, 0, 9, 9},
      {"start beyond", set_eventfds, 2, 8, 1, 1},
      {"start and count wrap", set_eventfds, 2, UINT32_MAX, 2, 2},
      {"a count that would cost memory", set_eventfds, 2, 0, UINT32_MAX, 0},
      {"fewer descriptors", set_eventfds, 2, 0, 3, 2},
      {"more descriptors", set_eventfds, 2, 0, 1, 2},
      {"descriptors without DATA_EVENTFD", disable, 2, 0, 1, 1},
      {"no data type", abi::vfio_irq_set_action_trigger, 2, 0, 1, 0},
      {"two data types", set_eventfds | 1, 2, 0, 1, 1},
      {"no action", abi::vfio_irq_set_data_none, 2, 0, 1, 0},
      {"unknown flag", disable | 64, 2, 0, 1, 0},
      {"bools that are not there", abi::vfio_irq_set_data_bool | abi::vfio_irq_set_action_trigger, 2, 0, 1,
       0},
  };
  for (const auto& each : cases)
    EXPECT_NE(set(each.flags, each.index, each.start, each.count, event_fds(each.fds)), 0) << each.what;
  EXPECT_FALSE(script->user->irqs().enabled(2));
  EXPECT_FALSE(session->has_ended());
}

// QEMU under TCG: each acknowledgement of the guest is a message.
TEST_F(SessionIrqs, a_level_signals_again_at_unmask_while_it_is_high) {
  constexpr std::uint32_t unmask = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_unmask;
  constexpr std::uint32_t mask = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_mask;
  EXPECT_EQ(set(unmask, 0, 0, 1), EINVAL) << "it is not enabled";
  EXPECT_EQ(set(set_eventfds, 0, 0, 1, event_fds(1)), 0);
  script->user->irqs().raise(0);
  EXPECT_EQ(events[0].take(), 1u);
  EXPECT_EQ(set(unmask, 0, 0, 1), 0);
  EXPECT_EQ(events[0].take(), 1u);
  script->user->irqs().lower(0);
  EXPECT_EQ(set(unmask, 0, 0, 1), 0);
  EXPECT_EQ(events[0].take(), 0u);
  EXPECT_EQ(set(mask, 0, 0, 1), 0);
  script->user->irqs().raise(0);
  EXPECT_EQ(events[0].take(), 0u);
  EXPECT_EQ(set(unmask, 0, 0, 1), 0);
  EXPECT_EQ(events[0].take(), 1u) << "what came while it was masked";
}

TEST_F(SessionIrqs, err_and_req_are_notifications) {
  for (const std::uint32_t index : {abi::vfio_pci_err_irq_index, abi::vfio_pci_req_irq_index}) {
    EXPECT_EQ(set(set_eventfds, index, 0, 1, event_fds(1)), 0);
    script->user->irqs().raise(index);
    EXPECT_EQ(events[0].take(), 1u);
    EXPECT_EQ(set(set_eventfds, index, 0, 2, event_fds(2)), EINVAL);
    EXPECT_EQ(set(abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_mask, index, 0, 1), ENOTTY);
    EXPECT_EQ(set(set_eventfds, index, 0, 1), 0) << "no descriptor takes it away";
    EXPECT_FALSE(script->user->irqs().enabled(index));
  }
}

TEST_F(SessionIrqs, an_end_drops_the_eventfds) {
  EXPECT_EQ(set(set_eventfds, 2, 0, 1, event_fds(1)), 0);
  session->end("killed");
  world.host.run();
  EXPECT_EQ(events[0].take(), 0u);
  EXPECT_EQ(script->user, nullptr);
}

}  // namespace
}  // namespace umdev::vfio_user
