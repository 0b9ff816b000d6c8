// Sessions that go from one server to another, with their client connected.
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "tests/integration/vfio_user/live_server.h"
#include "tests/support/outcome.h"

namespace umdev::vfio_user::test {
namespace {

using umdev::test::error_of;

constexpr std::uint64_t page = Board::page;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

std::shared_ptr<vfio::DeviceSessions> paused(LiveServer& live) {
  auto sessions = live.server->sessions_of("board0");
  const auto stand = std::make_shared<std::promise<void>>();
  sessions->pause([stand](Result<>) { stand->set_value(); });
  stand->get_future().wait();
  return sessions;
}

using Taken = Result<std::optional<vfio::MovedSession>>;
Taken take(vfio::DeviceSessions& sessions) {
  const auto taken = std::make_shared<std::promise<Taken>>();
  sessions.take([taken](Taken result) { taken->set_value(std::move(result)); });
  return taken->get_future().get();
}

// Where there is one.
vfio::MovedSession take_one(vfio::DeviceSessions& sessions) {
  Taken taken = take(sessions);
  return std::move(taken.value().value());
}

Result<> adopt(vfio::DeviceSessions& sessions, vfio::MovedSession session) {
  const auto adopted = std::make_shared<std::promise<Result<>>>();
  sessions.adopt(std::move(session), [adopted](Result<> result) { adopted->set_value(std::move(result)); });
  return adopted->get_future().get();
}

// A server whose session goes to another one, each time anew.
class Places {
 public:
  explicit Places(LiveServer::Options options = {}) : options_(options) { here_ = make(); }

  LiveServer& here() { return *here_; }
  void move() {
    auto there = make();
    const auto from = paused(*here_);
    const auto to = paused(*there);
    auto session = take(*from);
    ASSERT_TRUE(session) << session.error().text;
    ASSERT_TRUE(session->has_value());
    const auto adopted = adopt(*to, *std::move(*session));
    ASSERT_TRUE(adopted) << adopted.error().text;
    to->resume();
    here_ = std::move(there);  // the other one ends, with its end of the session
  }

 private:
  std::unique_ptr<LiveServer> make() const { return std::make_unique<LiveServer>(options_); }

  const LiveServer::Options options_;
  std::unique_ptr<LiveServer> here_;
};

Result<> listen(Client& client, const os::EventFd& event) {
  const int fd = event.get();
  return client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                          .index = 0,
                          .start = 0,
                          .count = 1,
                          .eventfds = std::span(&fd, 1),
                          .bools = {}});
}

TEST(MovedSession, its_client_goes_on_with_its_memory_and_its_interrupts) {
  Places places;
  Client client = places.here().client(0);
  const os::UniqueFd memory = os::create_memfd("guest", 16 * page).value();
  ASSERT_TRUE(client.dma_map(0, 8 * page, read_write, memory.get()));
  ASSERT_TRUE(client.dma_map(64 * page, 8 * page, abi::vfio_dma_map_flag_read, memory.get(), 8 * page));
  const os::EventFd event = os::EventFd::create().value();
  ASSERT_TRUE(listen(client, event));
  for (std::uint32_t round = 1; round <= 4; ++round) {
    ASSERT_NO_FATAL_FAILURE(places.move());
    ASSERT_EQ(::pwrite(memory.get(), &round, sizeof round, 9 * page), 4);
    ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 65 * page));
    EXPECT_EQ(client.read<std::uint32_t>(board_dma, 4), round);
    ASSERT_TRUE(client.write<std::uint32_t>(board_irq, 0, 1));
    EXPECT_EQ(event.take(), 1U);
    EXPECT_EQ(client.dma_unmap(0, page).error().code, EINVAL) << "it would cut a mapping";
  }
  EXPECT_EQ(client.dma_unmap_all(), 16 * page);
  EXPECT_TRUE(client.reset());
}

TEST(MovedSession, what_was_not_handled_and_what_was_not_read_goes_along) {
  Places places;
  Client client = places.here().client(0);
  const os::UniqueFd memory = os::create_memfd("guest", page).value();
  // Replies that their client does not read, until the socket takes no more.
  constexpr std::uint32_t size = 1 << 17;
  constexpr int reads = 20;
  for (int i = 0; i < reads; ++i) ASSERT_TRUE(client.submit_read(board_ram, 0, size));
  const int fd = memory.get();
  const abi::VfioUserDmaMap map{
      .argsz = sizeof map, .flags = read_write, .offset = 0, .iova = 0, .size = page};
  ASSERT_TRUE(client.submit(abi::vfio_user_dma_map, bytes_of(map), {}, std::span(&fd, 1)));
  ASSERT_TRUE(client.submit_write(board_ram, 0, bytes_of(std::uint32_t{42})));
  const auto sent = client.flush();
  ASSERT_TRUE(sent) << sent.error().text;
  ASSERT_NO_FATAL_FAILURE(places.move());
  for (int i = 0; i < reads + 2; ++i) {
    const auto completion = client.collect();
    ASSERT_TRUE(completion) << i;
    ASSERT_TRUE(completion->reply) << i << ": " << completion->reply.error().text;
  }
  EXPECT_EQ(client.read<std::uint32_t>(board_ram, 0), 42U);
  EXPECT_EQ(client.dma_unmap_all(), page);
}

TEST(MovedSession, memory_that_is_reached_by_messages_is_reached_from_there) {
  for (const bool twin : {false, true}) {
    Places places;
    Client client = places.here().silent_client(0);
    Capabilities offer = Client::usual_offer();
    offer.twin_socket = twin;
    ASSERT_TRUE(client.negotiate(offer));
    std::array<std::byte, 2 * page> memory{};
    memory[page + 1] = std::byte{0x77};
    ASSERT_TRUE(client.lend(0, memory, read_write));
    ASSERT_NO_FATAL_FAILURE(places.move());
    ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, page));
    ASSERT_TRUE(eventually([&] {
      static_cast<void>(client.serve_for(std::chrono::milliseconds(5)));
      return client.read<std::uint32_t>(board_dma, 0) == 0U;
    }));
    EXPECT_EQ(client.read<std::uint32_t>(board_dma, 4), 0x7700U) << twin;
  }
}

TEST(MovedSession, a_session_that_stays_goes_on) {
  LiveServer live;
  Client client = live.client(0);
  const auto sessions = paused(live);
  ASSERT_TRUE(client.submit_write(board_ram, 0, bytes_of(std::uint32_t{7})));
  ASSERT_TRUE(client.flush());
  ASSERT_TRUE(take(*sessions)->has_value());
  ASSERT_TRUE(client.submit_write(board_ram, 4, bytes_of(std::uint32_t{8})));
  ASSERT_TRUE(client.flush());
  ASSERT_TRUE(live.client(1).read<std::uint32_t>(board_ram, 0)) << "its worker has had a turn";
  sessions->resume();
  for (int i = 0; i < 2; ++i) {
    const auto completion = client.collect();
    EXPECT_TRUE(completion && completion->reply) << "what comes on the way is not looked at";
  }
  EXPECT_EQ(client.read<std::uint32_t>(board_ram, 0), 7U);
  EXPECT_EQ(client.read<std::uint32_t>(board_ram, 4), 8U);
}

TEST(MovedSession, what_cannot_be_taken_in_stays) {
  LiveServer live;
  LiveServer other({.limits = {.data_transfer = 4096}});
  LiveServer poor({.limits = {.file_mappings_per_session = 0}});
  LiveServer busy;
  Client client = live.client(0);
  Client another = busy.client(0);
  const os::UniqueFd memory = os::create_memfd("guest", page).value();
  ASSERT_TRUE(client.dma_map(0, page, read_write, memory.get()));
  const auto sessions = paused(live);
  EXPECT_EQ(error_of(adopt(*paused(other), take_one(*sessions))), EINVAL);
  EXPECT_EQ(error_of(adopt(*paused(poor), take_one(*sessions))), ENOSPC);
  EXPECT_EQ(error_of(adopt(*paused(busy), take_one(*sessions))), EBUSY);
  EXPECT_TRUE(eventually([&] { return other.is_idle() && poor.is_idle(); }));
  sessions->resume();
  EXPECT_EQ(client.dma_unmap_all(), page);
}

TEST(MovedSession, nothing_is_taken_where_nobody_has_the_device) {
  LiveServer live;
  Client silent = live.silent_client(0);
  EXPECT_EQ(take(*paused(live))->has_value(), false);
}

TEST(MovedSession, a_session_whose_device_waits_for_its_client_stays) {
  LiveServer live;
  Client client = live.client(0);
  std::array<std::byte, page> memory{};
  ASSERT_TRUE(client.lend(0, memory, read_write));
  ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 0));  // the client does not look at the question
  const auto sessions = paused(live);
  EXPECT_EQ(error_of(take(*sessions)), EBUSY);
  sessions->resume();
  EXPECT_TRUE(client.write<std::uint32_t>(board_ram, 0, 1));
}

TEST(MovedSession, descriptors_of_the_device_that_its_client_has_are_told) {
  LiveServer live;
  Client client = live.client(0);
  const auto sessions = paused(live);
  EXPECT_FALSE(take_one(*sessions).shares_device);
  sessions->resume();
  ASSERT_TRUE(client.region_info(board_shared)->fd);
  EXPECT_TRUE(take_one(*paused(live)).shares_device);
}

TEST(MovedSession, a_client_that_dies_on_the_way_leaves_nothing) {
  LiveServer live, other;
  std::optional<Client> client(live.client(0));
  auto session = take_one(*paused(live));
  client.reset();
  const auto to = paused(other);
  static_cast<void>(adopt(*to, std::move(session)));  // it may be noticed here, or later
  to->resume();
  EXPECT_TRUE(eventually([&] { return live.is_idle() && other.is_idle(); }));
}

TEST(MovedSession, no_error_and_no_lost_interrupt_however_often_it_moves_under_load) {
  Places places({.workers = 2});
  Client client = places.here().client(0);
  const os::EventFd event = os::EventFd::create().value();
  ASSERT_TRUE(listen(client, event));
  std::atomic<bool> over = false;
  std::uint64_t raised = 0;
  auto load = std::async(std::launch::async, [&]() -> Result<> {
    while (!over) {
      UMDEV_TRY(client.write<std::uint32_t>(board_irq, 0, 1));
      ++raised;
      for (int i = 0; i < 5; ++i) UMDEV_TRY(client.submit_write(board_ram, 64, bytes_of(i)));
      UMDEV_TRY(client.region_write_posted(board_irq, 0, bytes_of(0)));
      ++raised;
      for (int i = 0; i < 5; ++i) {
        Completion completion = UMDEV_TRY(client.collect());
        UMDEV_TRY(std::move(completion.reply));
      }
    }
    UMDEV_TRY(client.read<std::uint32_t>(board_ram, 0));
    return {};
  });
  for (int move = 0; move < 25 && !HasFatalFailure(); ++move) places.move();
  over = true;
  const auto result = load.get();
  EXPECT_TRUE(result) << result.error().text;
  EXPECT_EQ(event.take(), raised);
}

}  // namespace
}  // namespace umdev::vfio_user::test
