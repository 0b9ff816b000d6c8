// Sessions whose device is about to stand still: they end what they are at, and wait.
#include <future>

#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user::test {
namespace {

// Pauses the sessions of a device; true once all of them stand.
std::future<void> pause(vfio::DeviceSessions& sessions) {
  const auto stand = std::make_shared<std::promise<void>>();
  sessions.pause([stand](Result<>) { stand->set_value(); });
  return stand->get_future();
}

void write_byte(Client& client, unsigned value) {
  const auto byte = static_cast<std::byte>(value);
  ASSERT_TRUE(client.submit_write(board_ram, 0, ConstBytes(&byte, 1)));
  ASSERT_TRUE(client.flush());
}

TEST(PausedSession, what_comes_meanwhile_waits_and_other_sessions_go_on) {
  LiveServer live;
  Client paused = live.client(0);
  Client other = live.client(1);
  const auto sessions = live.server->sessions_of("board0");
  ASSERT_TRUE(sessions);
  pause(*sessions).wait();
  for (unsigned i = 0; i < 3; ++i) write_byte(paused, i);
  // Both sessions are on one thread: it has passed by what waits.
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(other.write<std::uint32_t>(board_ram, 0, 1));
  EXPECT_EQ(live.instances[0].state->last_write, 0);
  sessions->resume();
  for (unsigned i = 0; i < 3; ++i) EXPECT_TRUE(paused.collect()->reply);
  EXPECT_EQ(paused.read<std::uint8_t>(board_ram, 0), 2u);
}

TEST(PausedSession, the_message_that_it_is_at_ends_first) {
  LiveServer live;
  Client client = live.client(0);
  ASSERT_TRUE(client.submit_read(board_slow, 0, 4));
  ASSERT_TRUE(client.submit_write(board_ram, 0, bytes_of(std::uint32_t{7})));
  ASSERT_TRUE(client.flush());
  ASSERT_TRUE(eventually([&] {
    const std::scoped_lock lock(live.instances[0].state->mutex);
    return !live.instances[0].state->timers.empty();
  }));
  const auto sessions = live.server->sessions_of("board0");
  pause(*sessions).wait();
  EXPECT_TRUE(client.collect()->reply) << "it was under way";
  EXPECT_EQ(live.instances[0].state->last_write, 0) << "this one was not";
  sessions->resume();
  EXPECT_TRUE(client.collect()->reply);
}

TEST(PausedSession, who_connects_meanwhile_is_answered_afterwards) {
  constexpr auto deadline = std::chrono::milliseconds(250);  // the other client has it as well
  LiveServer live({.limits = {.version_deadline = deadline}});
  const auto sessions = live.server->sessions_of("board0");
  pause(*sessions).wait();
  Client client = live.silent_client(0);
  Client other = live.client(1);
  auto negotiated = std::async(std::launch::async, [&] { return client.negotiate().has_value(); });
  EXPECT_TRUE(eventually([&] { return live.server->status().sessions.size() == 2; }));
  for (const auto end = std::chrono::steady_clock::now() + 2 * deadline;
       std::chrono::steady_clock::now() < end;)
    EXPECT_TRUE(other.write<std::uint32_t>(board_ram, 0, 1));
  EXPECT_EQ(live.instances[0].state->opens, 0);
  sessions->resume();
  EXPECT_TRUE(negotiated.get());
}

TEST(PausedSession, a_client_that_dies_meanwhile_leaves_nothing) {
  LiveServer live;
  const auto sessions = live.server->sessions_of("board0");
  {
    Client client = live.client(0);
    pause(*sessions).wait();
    write_byte(client, 1);
  }
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
  sessions->resume();
  EXPECT_TRUE(live.client(0).write<std::uint32_t>(board_ram, 0, 1));
}

TEST(PausedSession, nobody_pauses_what_has_no_socket) {
  LiveServer live;
  EXPECT_EQ(live.server->sessions_of("board7"), nullptr);
}

}  // namespace
}  // namespace umdev::vfio_user::test
