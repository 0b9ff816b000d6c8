// DMA_READ and DMA_WRITE: a device's accesses to memory that only its client can reach.
#include "tests/support/outcome.h"
#include "tests/unit/vfio_user/session_fixture.h"

namespace umdev::vfio_user {
namespace {

using namespace std::chrono_literals;
using test::Octets;
using test::Reply;
using umdev::test::Outcome;

constexpr std::uint64_t base = 0x100000;
constexpr std::uint64_t size = 0x400000;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

class SessionDma : public test::SessionFixture {
 public:
  SessionDma() { open_with("{}"); }
  void open_with(std::string_view version) {
    if (session) {
      session->end("another one");
      world.host.run();
    }
    create_session();
    send_version(version);
    ASSERT_EQ(expect_reply().error(), 0);
    ASSERT_EQ(map(base, size, read_write).error(), 0);
  }

  struct Access {
    Octets data;
    Outcome<> outcome;
  };
  void read(Access& access, std::uint64_t iova, std::size_t count) {
    access.data.assign(count, std::byte{0xee});
    script->user->dma_read(iova, access.data, access.outcome.done());
  }
  void write(Access& access, std::uint64_t iova, std::size_t count) {
    access.data.resize(count);
    for (std::size_t i = 0; i < count; ++i) access.data[i] = static_cast<std::byte>(i * 7);
    script->user->dma_write(iova, access.data, access.outcome.done());
  }
  // What the session asks the client for, next.
  Reply expect_asked(abi::VfioUserCommand command, std::uint64_t iova, std::uint64_t count) {
    world.host.run();
    Reply asked = expect_reply();
    EXPECT_TRUE(is_command(asked.header));
    EXPECT_EQ(int{asked.header.command}, command);
    const auto access = asked.as<abi::VfioUserDmaAccess>();
    EXPECT_EQ(access.iova, iova);
    EXPECT_EQ(access.count, count);
    EXPECT_EQ(asked.header.size, 32 + (command == abi::vfio_user_dma_write ? count : 0));
    return asked;
  }
  static Octets pattern(std::size_t count, unsigned seed = 1) {
    Octets data(count);
    for (std::size_t i = 0; i < count; ++i) data[i] = static_cast<std::byte>(i * 13 + seed);
    return data;
  }
  static Octets answer(const Reply& asked, ConstBytes data) {
    return test::join(
        {bytes_of(make_reply(asked.header, 16 + data.size())), ConstBytes(asked.payload).first(16), data});
  }
  void answer_error(const Reply& asked, int code) {
    send(test::join({bytes_of(make_error_reply(asked.header, code))}));
  }
};

// --- One message.

TEST_F(SessionDma, a_read_is_asked_for_and_completed_by_its_reply) {
  Access access;
  read(access, base + 0x10, 8);
  EXPECT_FALSE(access.outcome.is_done());
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base + 0x10, 8);
  EXPECT_TRUE(wants_reply(asked.header));
  EXPECT_EQ(asked.header.size, 32u);
  send(answer(asked, pattern(8)));
  EXPECT_EQ(access.outcome.error(), 0);
  EXPECT_EQ(access.data, pattern(8));
  EXPECT_EQ(counters.dma_messages.value(), 1u);
  EXPECT_EQ(counters.unexpected_replies.value(), 0u);
}

TEST_F(SessionDma, a_write_goes_with_its_data) {
  for (const std::size_t count : {std::size_t{5}, std::size_t{100000}}) {
    Access access;
    write(access, base, count);
    const Reply asked = expect_asked(abi::vfio_user_dma_write, base, count);
    EXPECT_EQ(Octets(asked.payload.begin() + 16, asked.payload.end()), access.data);
    EXPECT_FALSE(access.outcome.is_done());
    send(answer(asked, {}));
    EXPECT_EQ(access.outcome.error(), 0);
  }
}

// The specification's reply, that of its table, and that of QEMU before 11.1.
TEST_F(SessionDma, a_reply_to_a_write_may_have_16_or_12_bytes_or_none) {
  for (const std::size_t payload : {16, 12, 0}) {
    Access access;
    write(access, base, 5);
    const Reply asked = expect_asked(abi::vfio_user_dma_write, base, 5);
    send(test::join({bytes_of(make_reply(asked.header, payload)), ConstBytes(asked.payload).first(payload)}));
    EXPECT_EQ(access.outcome.error(), 0) << payload;
  }
}

TEST_F(SessionDma, replies_that_do_not_fit_are_eio) {
  for (const std::size_t payload : {4, 8, 15, 17, 32}) {
    Access access;
    write(access, base, 5);
    const Reply asked = expect_asked(abi::vfio_user_dma_write, base, 5);
    Octets bytes = asked.payload;
    bytes.resize(payload);
    send(test::join({bytes_of(make_reply(asked.header, payload)), bytes}));
    EXPECT_EQ(access.outcome.error(), EIO) << payload;
  }
  for (const std::uint64_t count : {0ULL, 4ULL, 6ULL, ~0ULL}) {
    Access access;
    read(access, base, 5);
    const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 5);
    const abi::VfioUserDmaAccess head{.iova = base, .count = count};
    send(test::join({bytes_of(make_reply(asked.header, 21)), bytes_of(head), pattern(5)}));
    EXPECT_EQ(access.outcome.error(), EIO) << count;
  }
  for (const std::size_t data : {0, 4, 6}) {
    Access access;
    read(access, base, 5);
    const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 5);
    send(answer(asked, pattern(data)));
    EXPECT_EQ(access.outcome.error(), EIO) << data;
    EXPECT_EQ(access.data, Octets(5, std::byte{0xee}));
  }
  Access access;
  read(access, base, 5);
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 5);
  send(test::join({bytes_of(make_reply(asked.header, 0))}));
  EXPECT_EQ(access.outcome.error(), EIO);
}

TEST_F(SessionDma, the_clients_errors_are_what_they_mean_to_a_device) {
  const struct {
    int client;
    int device;
  } cases[] = {{EFAULT, EFAULT},     {ENODEV, EFAULT}, {EPERM, EPERM}, {EACCES, EPERM}, {ENOSYS, EOPNOTSUPP},
               {ENOTTY, EOPNOTSUPP}, {E2BIG, EIO},     {EIO, EIO},     {99999, EIO}};
  for (const auto& [client, error] : cases) {
    Access access;
    read(access, base, 4);
    answer_error(expect_asked(abi::vfio_user_dma_read, base, 4), client);
    EXPECT_EQ(access.outcome.error(), error) << client;
  }
}

TEST_F(SessionDma, what_is_not_mapped_or_not_allowed_is_not_asked_for) {
  ASSERT_EQ(map(0x1000, 0x1000, abi::vfio_dma_map_flag_read).error(), 0);
  Access hole;
  read(hole, base + size, 4);
  EXPECT_EQ(hole.outcome.error(), EINVAL);
  Access read_only;
  write(read_only, 0x1000, 4);
  EXPECT_EQ(read_only.outcome.error(), EPERM);
  world.host.run();
  EXPECT_FALSE(take_reply());
}

// --- Several messages.

TEST_F(SessionDma, an_access_is_cut_at_what_the_client_takes) {
  open_with(R"({"capabilities":{"max_data_xfer_size":64}})");
  Access access;
  read(access, base + 1, 150);
  const Reply first = expect_asked(abi::vfio_user_dma_read, base + 1, 64);
  const Reply second = expect_asked(abi::vfio_user_dma_read, base + 65, 64);
  const Reply third = expect_asked(abi::vfio_user_dma_read, base + 129, 22);
  EXPECT_NE(first.header.message_id, second.header.message_id);
  const Octets all = pattern(150);
  // In any order.
  send(answer(third, ConstBytes(all).subspan(128)));
  send(answer(first, ConstBytes(all).first(64)));
  EXPECT_FALSE(access.outcome.is_done());
  send(answer(second, ConstBytes(all).subspan(64, 64)));
  EXPECT_EQ(access.outcome.error(), 0);
  EXPECT_EQ(access.data, all);
}

TEST_F(SessionDma, only_so_many_messages_are_under_way) {
  open_with(R"({"capabilities":{"max_data_xfer_size":64}})");
  Access access;
  const std::size_t count = std::size_t{64} * (limits.dma_messages + 2);
  read(access, base, count);
  world.host.run();
  std::vector<Reply> asked;
  while (auto message = take_reply()) asked.push_back(*message);
  EXPECT_EQ(asked.size(), limits.dma_messages);
  const Octets all = pattern(count);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    send(answer(asked[i], ConstBytes(all).subspan(i * 64, 64)));
    while (auto message = take_reply()) asked.push_back(*message);
  }
  EXPECT_EQ(asked.size(), limits.dma_messages + 2);
  EXPECT_EQ(access.outcome.error(), 0);
  EXPECT_EQ(access.data, all);
}

TEST_F(SessionDma, an_error_in_one_message_ends_the_access_and_late_replies_are_dropped) {
  open_with(R"({"capabilities":{"max_data_xfer_size":64}})");
  Access access;
  read(access, base, 128);
  const Reply first = expect_asked(abi::vfio_user_dma_read, base, 64);
  const Reply second = expect_asked(abi::vfio_user_dma_read, base + 64, 64);
  answer_error(first, EFAULT);
  EXPECT_EQ(access.outcome.error(), EFAULT);
  send(answer(second, pattern(64)));
  EXPECT_EQ(access.data, Octets(128, std::byte{0xee}));
  EXPECT_EQ(counters.unexpected_replies.value(), 0u);
}

TEST_F(SessionDma, replies_find_their_message_by_id_and_command_once) {
  Access access;
  read(access, base, 4);
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  Reply other = asked;
  other.header.message_id ^= 0x1000;
  send(answer(other, pattern(4)));
  other = asked;
  other.header.command = abi::vfio_user_dma_write;
  send(answer(other, {}));
  EXPECT_EQ(counters.unexpected_replies.value(), 2u);
  EXPECT_FALSE(access.outcome.is_done());
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
  send(answer(asked, pattern(4)));
  EXPECT_EQ(counters.unexpected_replies.value(), 3u);
}

TEST_F(SessionDma, more_accesses_than_the_limit_are_eagain) {
  std::deque<Access> accesses(limits.dma_transfers);
  for (Access& access : accesses) read(access, base, 4);
  Access more;
  read(more, base, 4);
  EXPECT_EQ(more.outcome.error(), EAGAIN);
  answer_error(expect_asked(abi::vfio_user_dma_read, base, 4), EFAULT);
  Access again;
  read(again, base, 4);
  EXPECT_FALSE(again.outcome.is_done());
  session->end("enough");
}

// A large reply is received where it is wanted: the assembler takes it in pieces.
TEST_F(SessionDma, a_large_reply_goes_straight_to_its_place_in_any_pieces) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{31}, std::size_t{33}, std::size_t{5000}}) {
    Access access;
    read(access, base, 100000);
    const Octets all = pattern(100000, static_cast<unsigned>(piece));
    const Octets bytes = test::join({answer(expect_asked(abi::vfio_user_dma_read, base, 100000), all),
                                     test::command(77, abi::vfio_user_device_reset, {})});
    std::size_t handled = 0;
    for (ConstBytes rest = bytes; !rest.empty();) {
      const Bytes space = assembler.space();
      const std::size_t count = std::min({space.size(), rest.size(), piece});
      std::ranges::copy(rest.first(count), space.begin());
      assembler.commit(count);
      rest = rest.subspan(count);
      for (auto frame = assembler.next(); *frame; frame = assembler.next()) {
        handled += (*frame)->diverted;
        session->handle(**frame);
      }
      session->offer(assembler);
    }
    EXPECT_EQ(handled, 100000u);
    EXPECT_EQ(access.outcome.error(), 0) << piece;
    EXPECT_EQ(access.data, all) << piece;
    EXPECT_EQ(expect_reply().header.message_id, 77);
    EXPECT_LE(assembler.capacity(), limits.receive_buffer);
  }
}

TEST_F(SessionDma, a_reply_whose_access_ended_in_the_middle_of_it_is_thrown_away) {
  Access access;
  read(access, base, 100000);
  const Octets bytes =
      test::join({answer(expect_asked(abi::vfio_user_dma_read, base, 100000), pattern(100000)),
                  test::command(77, abi::vfio_user_device_reset, {})});
  std::size_t given = 0;
  const auto give = [&](std::size_t until) {
    while (given < until) {
      const Bytes space = assembler.space();
      const std::size_t count = std::min(space.size(), until - given);
      std::ranges::copy(ConstBytes(bytes).subspan(given, count), space.begin());
      assembler.commit(count);
      given += count;
      for (auto frame = assembler.next(); *frame; frame = assembler.next()) session->handle(**frame);
      session->offer(assembler);
    }
  };
  give(40000);
  world.host.advance(limits.dma_deadline + 1s);
  EXPECT_EQ(access.outcome.error(), ETIMEDOUT);
  std::ranges::fill(access.data, std::byte{0xee});
  give(bytes.size());
  EXPECT_TRUE(std::ranges::all_of(access.data, [](std::byte octet) { return octet == std::byte{0xee}; }))
      << "the memory was the device's again";
  EXPECT_EQ(expect_reply().header.message_id, 77);
}

// --- Who waits for whom.

TEST_F(SessionDma, asked_for_inside_a_request_that_is_answered_it_is_sent_behind_the_reply) {
  Access access;
  script->on_write = [&] { read(access, base, 4); };
  send_write(0, Octets(4));
  EXPECT_TRUE(is_reply(expect_reply().header));
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
}

TEST_F(SessionDma, asked_for_inside_a_request_that_is_not_answered_it_is_edeadlk) {
  script->hold_access = true;
  Access access;
  script->on_write = [&] { read(access, base, 4); };
  send_write(0, Octets(4));
  EXPECT_EQ(access.outcome.error(), EDEADLK);
  script->writes.front().complete_all();
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_FALSE(take_reply());
}

TEST_F(SessionDma, a_posted_write_may_wait_for_it) {
  script->hold_access = true;
  Access access;
  script->on_write = [&] { read(access, base, 4); };
  send_write(0, Octets(4), abi::vfio_user_flags_no_reply);
  EXPECT_TRUE(session->is_busy());
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  EXPECT_TRUE(session->takes_messages());
  // The client did not know yet that we ask.
  send_write(8, Octets(4));
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
  EXPECT_EQ(script->writes.size(), 1u);
  script->on_write = nullptr;
  script->writes.front().complete_all();
  script->writes.pop_front();
  world.host.run();
  ASSERT_EQ(script->writes.size(), 1u);
  EXPECT_EQ(script->writes.front().offset(), 8u);
  script->writes.front().complete_all();
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionDma, none_is_sent_while_a_reply_is_owed) {
  script->hold_access = true;
  send_read(0, 4);
  Access access;
  read(access, base, 4);
  world.host.run();
  EXPECT_FALSE(take_reply());
  script->reads.front().complete_all();
  world.host.run();
  EXPECT_TRUE(is_reply(expect_reply().header));
  send(answer(expect_asked(abi::vfio_user_dma_read, base, 4), pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
}

TEST_F(SessionDma, a_reply_that_is_owed_too_long_makes_it_edeadlk) {
  Access before;
  read(before, base, 4);
  expect_asked(abi::vfio_user_dma_read, base, 4);
  script->hold_access = true;
  send_read(0, 4);
  Access after;
  read(after, base, 4);
  world.host.advance(limits.dma_patience / 2);
  EXPECT_FALSE(before.outcome.is_done());
  world.host.advance(2 * limits.dma_patience);
  EXPECT_EQ(before.outcome.error(), EDEADLK);
  EXPECT_EQ(after.outcome.error(), EDEADLK);
  script->reads.front().complete_all();
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionDma, a_client_that_goes_on_asking_is_not_a_deadlock) {
  Access access;
  read(access, base, 4);
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  for (int i = 0; i < 8; ++i) {
    script->hold_access = true;
    send_read(0, 4);
    world.host.advance(limits.dma_patience * 6 / 10);
    script->reads.front().complete_all();
    script->reads.clear();
    world.host.run();
    EXPECT_EQ(expect_reply().error(), 0);
  }
  EXPECT_FALSE(access.outcome.is_done());
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
}

TEST_F(SessionDma, a_silent_client_costs_the_access_and_not_the_session) {
  Access access;
  read(access, base, 4);
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  world.host.advance(limits.dma_deadline - limits.dma_patience);
  EXPECT_FALSE(access.outcome.is_done());
  world.host.advance(2 * limits.dma_patience);
  EXPECT_EQ(access.outcome.error(), ETIMEDOUT);
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.data, Octets(4, std::byte{0xee}));
  send_read(0, 4);
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionDma, progress_keeps_those_alive_that_wait_behind) {
  open_with(R"({"capabilities":{"max_data_xfer_size":64}})");
  Access first;
  Access second;
  const std::size_t messages = std::size_t{4} * limits.dma_messages;
  read(first, base, 64 * messages);
  read(second, base, 64);
  for (std::size_t i = 0; i < messages; ++i) {
    world.host.run();
    world.host.advance(limits.dma_patience);
    send(answer(expect_reply(), pattern(64)));
  }
  EXPECT_EQ(first.outcome.error(), 0);
  EXPECT_FALSE(second.outcome.is_done());
  send(answer(expect_asked(abi::vfio_user_dma_read, base, 64), pattern(64)));
  EXPECT_EQ(second.outcome.error(), 0);
}

// --- Ends.

TEST_F(SessionDma, an_unmap_ends_accesses_of_its_range_and_is_answered_at_once) {
  ASSERT_EQ(map(0x1000, 0x1000, read_write).error(), 0);
  Access gone;
  Access stays;
  read(gone, base, 4);
  read(stays, 0x1000, 4);
  const Reply first = expect_asked(abi::vfio_user_dma_read, base, 4);
  const Reply second = expect_asked(abi::vfio_user_dma_read, 0x1000, 4);
  EXPECT_EQ(unmap(base, size).as<abi::VfioUserDmaUnmap>().size, size);
  EXPECT_EQ(gone.outcome.error(), EFAULT);
  EXPECT_FALSE(stays.outcome.is_done());
  send(answer(first, pattern(4)));
  send(answer(second, pattern(4)));
  EXPECT_EQ(stays.outcome.error(), 0);
  EXPECT_EQ(gone.data, Octets(4, std::byte{0xee}));
}

TEST_F(SessionDma, an_unmap_of_everything_ends_all_accesses) {
  Access access;
  write(access, base, 100000);
  world.host.run();
  send_unmap(0, 0, abi::vfio_dma_unmap_flag_all);
  EXPECT_EQ(access.outcome.error(), EFAULT);
  const std::byte last = access.data.back();
  Octets().swap(access.data);
  // What was begun is sent whole, of a copy.
  EXPECT_EQ(expect_reply().payload.back(), last);
  EXPECT_EQ(expect_reply().as<abi::VfioUserDmaUnmap>().size, size);
}

TEST_F(SessionDma, an_unmap_that_is_refused_ends_nothing) {
  Access access;
  read(access, base, 4);
  const Reply asked = expect_asked(abi::vfio_user_dma_read, base, 4);
  EXPECT_EQ(unmap(base, 0x1000).error(), EINVAL);
  EXPECT_FALSE(access.outcome.is_done());
  send(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
}

TEST_F(SessionDma, a_client_that_left_takes_its_memory_along) {
  Access access;
  read(access, base, 4);
  expect_asked(abi::vfio_user_dma_read, base, 4);
  session->client_left();
  EXPECT_EQ(access.outcome.error(), ENODEV);
  Access late;
  read(late, base, 4);
  EXPECT_EQ(late.outcome.error(), ENODEV);
}

TEST_F(SessionDma, the_end_of_the_session_ends_every_access) {
  std::deque<Access> accesses(20);
  for (std::size_t i = 0; i < accesses.size(); ++i)
    i % 2 == 0 ? read(accesses[i], base, 100000) : write(accesses[i], base, 100000);
  world.host.run();
  session->end("killed");
  for (Access& access : accesses) EXPECT_EQ(access.outcome.error(), ENODEV);
}

TEST_F(SessionDma, a_device_may_ask_again_when_it_is_answered) {
  Access first;
  Access second;
  script->user->dma_read(base, Bytes(), [](Result<>) {});
  first.data.resize(4);
  script->user->dma_read(base, first.data, [&](Result<> result) {
    EXPECT_TRUE(result);
    read(second, base + 64, 4);
  });
  send(answer(expect_asked(abi::vfio_user_dma_read, base, 4), pattern(4)));
  // Without a turn of the loop: it was asked for on the session's thread.
  const auto asked = take_reply();
  ASSERT_TRUE(asked);
  send(answer(*asked, pattern(4)));
  EXPECT_EQ(second.outcome.error(), 0);
}

// --- The twin socket.

class SessionTwin : public SessionDma {
 public:
  Outbox* open_twin(os::UniqueFd socket) override {
    if (refuses) return nullptr;
    twin_socket = std::move(socket);
    return &twin;
  }
  Reply negotiate(std::string_view text) {
    session->end("another one");
    world.host.run();
    create_session();
    send_version(text);
    return expect_reply();
  }
  void handle_twin(const Octets& message) {
    std::ranges::copy(message, twin_assembler.space().begin());
    twin_assembler.commit(message.size());
    for (auto frame = twin_assembler.next(); *frame; frame = twin_assembler.next())
      session->handle_twin(**frame);
  }
  ~SessionTwin() override { session->end("the test ends"); }

  static constexpr std::string_view offer = R"({"capabilities":{"twin_socket":{"supported":true}}})";
  bool refuses = false;
  os::UniqueFd twin_socket;
  Outbox twin;
  FrameAssembler twin_assembler{limits.message(), limits.receive_buffer};
};

TEST_F(SessionTwin, comes_with_the_answer_to_a_client_that_offers_it) {
  const Reply reply = negotiate(offer);
  EXPECT_EQ(reply.fds, 1u);
  const auto version = decode_version(reply.payload, limits);
  EXPECT_TRUE(version->capabilities.twin_socket);
  EXPECT_EQ(version->capabilities.twin_fd_index, 0u);
  EXPECT_TRUE(twin_socket);
}

TEST_F(SessionTwin, is_not_there_for_a_client_that_does_not_offer_it_or_takes_no_descriptor) {
  for (const char* text : {"{}", R"({"capabilities":{"twin_socket":{"supported":false}}})",
                           R"({"capabilities":{"max_msg_fds":0,"twin_socket":{"supported":true}}})"}) {
    const Reply reply = negotiate(text);
    EXPECT_EQ(reply.fds, 0u) << text;
    EXPECT_FALSE(decode_version(reply.payload, limits)->capabilities.twin_socket) << text;
  }
  refuses = true;
  const Reply reply = negotiate(offer);
  EXPECT_EQ(reply.fds, 0u);
  EXPECT_FALSE(decode_version(reply.payload, limits)->capabilities.twin_socket);
}

TEST_F(SessionTwin, carries_what_we_ask_and_its_replies) {
  negotiate(offer);
  ASSERT_EQ(map(base, size, read_write).error(), 0);
  Access access;
  read(access, base, 4);
  world.host.run();
  EXPECT_FALSE(take_reply());
  ASSERT_FALSE(twin.empty());
  const Reply asked = take_message(twin);
  EXPECT_EQ(int{asked.header.command}, abi::vfio_user_dma_read);
  EXPECT_FALSE(session->expects_replies()) << "not on the first socket";
  send(answer(asked, pattern(4)));
  EXPECT_FALSE(access.outcome.is_done()) << "it came on the wrong socket";
  EXPECT_EQ(counters.unexpected_replies.value(), 1u);
  handle_twin(answer(asked, pattern(4)));
  EXPECT_EQ(access.outcome.error(), 0);
}

TEST_F(SessionTwin, takes_no_commands) {
  negotiate(offer);
  handle_twin(test::command(3, abi::vfio_user_device_reset, {}));
  const Reply reply = take_message(twin);
  EXPECT_EQ(reply.error(), EINVAL);
  EXPECT_EQ(reply.header.message_id, 3);
  EXPECT_EQ(script->count("reset"), 0u);
}

}  // namespace
}  // namespace umdev::vfio_user
