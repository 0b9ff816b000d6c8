// Points at which servers of this protocol have broken and that need a device which real clients do not have:
// several vectors, one that does not become quiet. The others are in tests/wire/hostile_checklist_test.py.
#include <array>
#include <future>

#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t page = Board::page;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
constexpr std::uint32_t vectors = 3;
constexpr std::uint32_t block = 1;  // the board's index with three vectors

Result<> set_eventfds(Client& client, std::uint32_t start, std::uint32_t count, std::span<const int> fds) {
  return client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                          .index = block,
                          .start = start,
                          .count = count,
                          .eventfds = fds,
                          .bools = {}});
}

Result<> fire_all(Client& client) {
  return client.set_irqs({.flags = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger,
                          .index = block,
                          .start = 0,
                          .count = vectors,
                          .eventfds = {},
                          .bools = {}});
}

TEST(Checklist, point_8_a_range_of_vectors_that_does_not_begin_at_0_is_taken_back) {
  LiveServer live;
  Client client = live.client(0);
  std::array<os::EventFd, vectors> events;
  std::array<int, vectors> fds{};
  for (std::uint32_t i = 0; i < vectors; ++i) {
    events[i] = os::EventFd::create().value();
    fds[i] = events[i].get();
  }
  ASSERT_TRUE(set_eventfds(client, 0, vectors, fds));
  ASSERT_TRUE(fire_all(client));
  for (const os::EventFd& event : events) EXPECT_EQ(event.take(), 1u);

  ASSERT_TRUE(set_eventfds(client, 1, 2, {})) << "without descriptors: taken back";
  ASSERT_TRUE(fire_all(client));
  EXPECT_EQ(events[0].take(), 1u) << "the one before the range stays";
  EXPECT_EQ(events[1].take(), 0u);
  EXPECT_EQ(events[2].take(), 0u);

  ASSERT_TRUE(set_eventfds(client, 2, 1, std::span(fds).last(1)));
  ASSERT_TRUE(fire_all(client));
  EXPECT_EQ(events[1].take(), 0u);
  EXPECT_EQ(events[2].take(), 1u) << "and may be set again, alone";
}

TEST(Checklist, point_13_a_reset_that_fails_is_answered) {
  LiveServer live;
  Client client = live.client(0);
  live.instances[0].state->reset_error = EBUSY;
  EXPECT_EQ(client.reset().error().code, EBUSY);
  EXPECT_TRUE(client.read<std::uint32_t>(board_ram, 0)) << "the session goes on";
  live.instances[0].state->reset_error = 0;
  EXPECT_TRUE(client.reset());
}

TEST(Checklist, point_13_an_unmap_is_answered_though_the_device_keeps_its_pin) {
  LiveServer live({.unmap_deadline = 300ms});
  Client other = live.client(1);
  Client client = live.client(0);
  const os::UniqueFd memory = os::create_memfd("guest", page).value();
  ASSERT_TRUE(client.dma_map(0, page, read_write, memory.get()));
  ASSERT_TRUE(client.write<std::uint64_t>(board_hold, 0, 0));

  auto unmapped = std::async(std::launch::async, [&] { return client.dma_unmap(0, page); });
  int answers = 0;
  while (unmapped.wait_for(1ms) == std::future_status::timeout)
    answers += static_cast<int>(other.read<std::uint32_t>(board_ram, 0).has_value());
  EXPECT_GT(answers, 0) << "a neighbour on the same worker goes on while the client waits";
  EXPECT_EQ(unmapped.get(), page);
  EXPECT_EQ(client.read<std::uint32_t>(board_ram, 0).error().code, EIO) << "the device is faulted";
  EXPECT_TRUE(other.read<std::uint32_t>(board_ram, 0));
}

TEST(Checklist, point_13_a_client_that_goes_while_its_device_keeps_a_pin_is_given_up_on) {
  LiveServer live({.unmap_deadline = 300ms});
  {
    Client client = live.client(0);
    const os::UniqueFd memory = os::create_memfd("guest", page).value();
    ASSERT_TRUE(client.dma_map(0, page, read_write, memory.get()));
    ASSERT_TRUE(client.write<std::uint64_t>(board_hold, 0, 0));
  }
  EXPECT_TRUE(eventually([&] { return live.server->status().sessions.empty(); }));
  EXPECT_TRUE(live.client(1).read<std::uint32_t>(board_ram, 0));
}

}  // namespace
}  // namespace umdev::vfio_user::test
