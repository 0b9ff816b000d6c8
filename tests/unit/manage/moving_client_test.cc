// Clients that stay connected while their instance moves: who serves them, and when.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/manage/place.h"
#include "umdev/manage/handover.h"
#include "umdev/os/unix_socket.h"

namespace umdev::manage::test {
namespace {

using vfio::MigrationState;

class MovingClient : public testing::Test {
 public:
  void SetUp() override {
    ASSERT_EQ(from.world.create("mtty", "mtty-1", uuid), 0);
    client = from.world.open_instance(uuid);
    out(client, 0, spec::scr, 0x42);
    from.door->has_client = true;
  }
  void TearDown() override { client = {}; }

  Departure leave() {
    auto departure = from.depart(uuid, Clients::come_along);
    EXPECT_TRUE(departure);
    return std::move(*departure);
  }
  void end_moved() {
    Outcome<> removed;
    from.mover->end(uuid, true, removed.done());
    from.world.host.run();
    client = {};
    from.world.host.run();
    EXPECT_TRUE(removed.succeeded());
  }
  MigrationState state_there() { return to.door->client.device->migration_state().value(); }

  Place from, to;
  MdevWorld::Session client;
};

TEST_F(MovingClient, it_is_served_there_from_the_word_on_and_not_before) {
  Departure departure = leave();
  EXPECT_TRUE(departure.why.empty());
  EXPECT_EQ(departure.descriptors.size(), 3U) << "a token, its session, its one descriptor";
  ASSERT_EQ(to.arrive(std::move(departure)), 0);
  EXPECT_EQ(to.door->adopted->stream, Stream(3, std::byte{7}));
  EXPECT_EQ(to.door->adopted->descriptors.size(), 1U);
  to.listen();
  EXPECT_EQ(to.door->happened, "pause ") << "nothing was said yet";
  EXPECT_EQ(state_there(), MigrationState::stop);

  end_moved();
  EXPECT_EQ(from.door->happened, "pause ") << "never again here";
  EXPECT_FALSE(from.has(uuid));
  to.listen();
  EXPECT_EQ(to.door->happened, "pause resume ");
  EXPECT_EQ(state_there(), MigrationState::running);
  EXPECT_EQ(in(to.door->client, 0, spec::scr), 0x42U);
  EXPECT_TRUE(to.depart(uuid, Clients::leave)) << "and it can go on from there";
}

TEST_F(MovingClient, it_goes_on_here_when_it_stays_and_the_other_place_gives_it_up) {
  ASSERT_EQ(to.arrive(leave()), 0);
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_EQ(from.door->happened, "pause resume ");
  EXPECT_EQ(in(client, 0, spec::scr), 0x42U);
  to.listen();
  to.door->client = {};
  to.world.host.run();
  EXPECT_EQ(to.door->happened, "pause ") << "never there";
  EXPECT_FALSE(to.has(uuid));
}

TEST_F(MovingClient, silence_means_that_it_stays) {
  ASSERT_EQ(to.arrive(leave()), 0);
  from.world.host.advance(Mover::patience + std::chrono::seconds(1));
  EXPECT_EQ(from.door->happened, "pause resume ");
  EXPECT_EQ(from.end(uuid, true), ESRCH) << "too late";
  to.listen();
  to.door->client = {};
  to.world.host.run();
  EXPECT_FALSE(to.has(uuid));
}

TEST_F(MovingClient, it_stays_when_nobody_is_there_to_hear_the_word) {
  leave();  // and all that was to go is dropped
  EXPECT_EQ(from.end(uuid, true), EPIPE);
  EXPECT_EQ(from.door->happened, "pause resume ");
  EXPECT_TRUE(from.has(uuid));
  EXPECT_EQ(in(client, 0, spec::scr), 0x42U);
}

TEST_F(MovingClient, a_place_that_cannot_serve_it_refuses_all_of_the_move) {
  to.door->adopt_error = Error{ENOSPC, "no room for its memory"};
  EXPECT_EQ(to.arrive(leave()), ENOSPC);
  EXPECT_FALSE(to.has(uuid));
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_EQ(from.door->happened, "pause resume ");

  to.door->adopt_error.reset();
  to.watcher.refuse_next(ENOSPC);
  Departure departure = leave();
  Outcome<Uuid> arrived;
  to.mover->load(departure.stream, std::move(departure.descriptors), "", owner, arrived.done());
  to.world.host.run();
  EXPECT_FALSE(arrived.is_done()) << "what was adopted has to let go first";
  to.door->client = {};
  to.world.host.run();
  EXPECT_EQ(arrived.error(), ENOSPC);
  EXPECT_FALSE(to.has(uuid));
  EXPECT_EQ(from.end(uuid, false), 0);
}

TEST_F(MovingClient, a_client_that_cannot_come_along_is_said) {
  struct Case {
    std::string_view why;
    void (*make)(FakeDoor&);
  };
  const std::vector<Case> cases{
      {"it does not use the device by its socket", [](FakeDoor& door) { door.has_client = false; }},
      {"it is busy", [](FakeDoor& door) { door.take_error = Error{EBUSY, "it is busy"}; }},
      {"it has memory or eventfds of the device's own", [](FakeDoor& door) { door.shares_device = true; }},
      {"the session has more descriptors than a message carries",
       [](FakeDoor& door) { door.descriptors = os::max_fds_per_message - 1; }},
  };
  for (const Case& reason : cases) {
    from.door->has_client = true;
    reason.make(*from.door);
    Departure departure = leave();
    EXPECT_EQ(departure.why, reason.why);
    EXPECT_TRUE(departure.descriptors.empty()) << reason.why;
    ASSERT_EQ(to.arrive(std::move(departure)), 0) << reason.why;
    EXPECT_FALSE(to.door->adopted);
    Outcome<> removed;
    to.world.bus->remove(uuid, RemovePolicy::force, removed.done());
    to.world.host.run();
    EXPECT_EQ(from.end(uuid, false), 0);
    from.door->take_error.reset();
    from.door->shares_device = false;
    from.door->descriptors = 1;
  }
}

TEST_F(MovingClient, nobody_who_does_not_ask_is_given_descriptors) {
  const auto departure = from.depart(uuid, Clients::leave);
  ASSERT_TRUE(departure);
  EXPECT_TRUE(departure->descriptors.empty() && departure->why.empty());
}

TEST_F(MovingClient, descriptors_that_do_not_fit_the_stream_make_nothing) {
  for (int wrong = 0; wrong < 4; ++wrong) {
    Departure departure = leave();
    auto& fds = departure.descriptors;
    if (wrong == 0) fds.clear();
    if (wrong == 1) fds.pop_back();
    if (wrong == 2) fds.push_back(os::create_memfd("more", 1).value());
    if (wrong == 3) std::swap(fds[1], fds[2]);
    EXPECT_EQ(to.arrive(std::move(departure)), EINVAL) << wrong;
    EXPECT_FALSE(to.has(uuid));
    EXPECT_EQ(from.end(uuid, false), 0);
  }
}

// --- The handover by itself.

TEST(Handover, a_word_is_heard_and_so_is_an_end_without_one) {
  for (const Word word : {Word::moved, Word::stays}) {
    const auto [source, target] = os::make_socket_pair().value();
    EXPECT_EQ(error_of(hear(target)), EAGAIN);
    ASSERT_TRUE(say(source, word));
    EXPECT_EQ(hear(target).value(), word);
  }
  auto [source, target] = os::make_socket_pair().value();
  source.reset();
  EXPECT_EQ(hear(target).value(), Word::moved);
}

TEST(Handover, what_is_no_word_is_eproto) {
  const auto [source, target] = os::make_socket_pair().value();
  const std::byte nonsense{'?'};
  ASSERT_TRUE(os::send(source.get(), ConstBytes(&nonsense, 1)));
  EXPECT_EQ(error_of(hear(target)), EPROTO);
}

Handover a_handover(std::size_t size) {
  auto [ours, theirs] = os::make_socket_pair().value();
  Handover handover{.token = std::move(theirs), .session = {}};
  handover.session.stream = Stream(size, std::byte{5});
  return handover;
}

TEST(Handover, a_session_of_any_length_goes_in_a_file) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{5} << 20}) {
    MovedClient client;
    auto descriptors = pack(a_handover(size), client).value();
    EXPECT_EQ(descriptors.size(), 2U);
    const Handover handover = unpack(std::move(descriptors), client).value();
    EXPECT_EQ(handover.session.stream, Stream(size, std::byte{5}));
  }
}

TEST(Handover, what_does_not_fit_is_einval) {
  MovedClient client;
  auto descriptors = pack(a_handover(100), client).value();
  const auto with = [&](const MovedClient& other) {
    std::vector<os::UniqueFd> copies;
    for (const os::UniqueFd& fd : descriptors) copies.push_back(fd.dup().value());
    return error_of(unpack(std::move(copies), other));
  };
  EXPECT_EQ(with(client), 0);
  EXPECT_EQ(with({.stream_size = 99, .descriptors = 2}), EINVAL);
  EXPECT_EQ(with({.stream_size = 1ULL << 40, .descriptors = 2}), EINVAL);
  EXPECT_EQ(with({.stream_size = 100, .descriptors = 3}), EINVAL);
  descriptors.pop_back();
  EXPECT_EQ(with({.stream_size = 100, .descriptors = 1}), EINVAL);
  descriptors.push_back(descriptors[0].dup().value());  // a socket has no contents
  EXPECT_EQ(with({.stream_size = 100, .descriptors = 2}), EINVAL);
}

}  // namespace
}  // namespace umdev::manage::test
