// REGION_WRITE_MULTI.
#include "tests/unit/vfio_user/session_fixture.h"

namespace umdev::vfio_user {
namespace {

using namespace std::chrono_literals;
using test::Octets;
using test::Reply;

using Entries = std::vector<abi::VfioUserWriteEntry>;

class SessionWriteMulti : public test::SessionFixture {
 public:
  void open_with_write_multiple() {
    create_session();
    send_version(R"({"capabilities":{"write_multiple":true}})");
    ASSERT_EQ(expect_reply().error(), 0);
  }
  void send_writes(const Entries& entries, std::uint64_t count, std::uint32_t flags = 0) {
    const abi::VfioUserWriteMulti head{.count = count};
    const auto bytes = std::as_bytes(std::span(entries));
    send(test::command(next_id++, abi::vfio_user_region_write_multi, {bytes_of(head), bytes}, flags));
  }
  Reply write(const Entries& entries) {
    send_writes(entries, entries.size());
    return expect_reply();
  }
  static std::uint64_t done(const Reply& reply) { return reply.as<abi::VfioUserWriteMulti>().count; }
};

constexpr abi::VfioUserWriteEntry good{.offset = 8, .region = 0, .count = 4, .data = {1, 2, 3, 4}};

TEST_F(SessionWriteMulti, is_offered_to_a_client_that_knows_it_and_to_no_other) {
  create_session();
  send_version(R"({"capabilities":{"write_multiple":true}})");
  EXPECT_TRUE(decode_version(expect_reply().payload, limits)->capabilities.write_multiple);
  session->end("enough");
  world.host.run();
  create_session();
  send_version();
  EXPECT_FALSE(decode_version(expect_reply().payload, limits)->capabilities.write_multiple);
  EXPECT_EQ(write({good}).error(), ENOTTY);
  EXPECT_EQ(script->count("write"), 0u);
}

TEST_F(SessionWriteMulti, each_entry_is_a_write_of_its_own_in_order) {
  script->hold_access = true;
  open_with_write_multiple();
  send_writes({good, {.offset = 16, .region = 0, .count = 8, .data = {9}}}, 2);
  ASSERT_EQ(script->writes.size(), 1u);
  EXPECT_EQ(script->writes[0].offset(), 8u);
  EXPECT_EQ(script->writes[0].data().size(), 4u);
  EXPECT_EQ(script->writes[0].data()[3], std::byte{4});
  EXPECT_TRUE(session->is_busy());
  script->writes[0].complete_all();
  world.host.run();
  ASSERT_EQ(script->writes.size(), 2u);
  EXPECT_EQ(script->writes[1].offset(), 16u);
  EXPECT_EQ(script->writes[1].data()[0], std::byte{9});
  EXPECT_TRUE(session->is_busy());
  EXPECT_FALSE(take_reply());
  script->writes[1].complete_all();
  world.host.run();
  EXPECT_FALSE(session->is_busy());
  EXPECT_EQ(done(expect_reply()), 2u);
  EXPECT_EQ(changes, 1);
}

TEST_F(SessionWriteMulti, the_reply_says_how_many_were_done) {
  open_with_write_multiple();
  const Reply reply = write(Entries(200, good));
  EXPECT_EQ(reply.error(), 0);
  EXPECT_EQ(reply.payload.size(), 8u);
  EXPECT_EQ(done(reply), 200u);
  EXPECT_EQ(script->count("write"), 200u);
  EXPECT_EQ(session->last_cost(), 200u);
}

TEST_F(SessionWriteMulti, no_writes_are_done_at_once) {
  open_with_write_multiple();
  EXPECT_EQ(done(write({})), 0u);
  EXPECT_EQ(script->count("write"), 0u);
}

TEST_F(SessionWriteMulti, the_error_of_the_first_entry_is_the_answer) {
  open_with_write_multiple();
  const Entries bad = {
      {.offset = 256, .region = 0, .count = 1},        {.offset = 253, .region = 0, .count = 4},
      {.offset = UINT64_MAX, .region = 0, .count = 8}, {.offset = 0, .region = 1, .count = 4},
      {.offset = 0, .region = UINT32_MAX, .count = 4}, {.offset = 0, .region = 0, .count = 9},
      {.offset = 0, .region = 0, .count = UINT32_MAX},
  };
  for (const auto& entry : bad) {
    const Reply reply = write({entry, good});
    EXPECT_EQ(reply.error(), EINVAL) << entry.offset << " " << entry.region << " " << entry.count;
    EXPECT_TRUE(reply.payload.empty());
  }
  EXPECT_EQ(script->count("write"), 0u);
}

TEST_F(SessionWriteMulti, what_comes_behind_a_bad_entry_is_not_written) {
  open_with_write_multiple();
  EXPECT_EQ(done(write({good, good, {.offset = 0, .region = 0, .count = 9}, good})), 2u);
  EXPECT_EQ(script->count("write"), 2u);
  EXPECT_EQ(counters.error(EINVAL).value(), 1u);
}

TEST_F(SessionWriteMulti, an_empty_entry_succeeds_and_asks_nobody) {
  open_with_write_multiple();
  EXPECT_EQ(done(write({{.offset = 0, .region = 0, .count = 0}, good})), 2u);
  EXPECT_EQ(script->count("write"), 1u);
}

TEST_F(SessionWriteMulti, a_count_that_is_not_that_of_the_entries_is_einval) {
  open_with_write_multiple();
  for (const std::uint64_t count : {0ULL, 1ULL, 3ULL}) {
    send_writes({good, good}, count);
    EXPECT_EQ(expect_reply().error(), EINVAL) << count;
  }
  for (std::size_t size = 0; size < 8; ++size) {
    send(test::command(1, abi::vfio_user_region_write_multi, {Octets(size)}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << size;
  }
  EXPECT_EQ(script->count("write"), 0u);
}

TEST_F(SessionWriteMulti, more_writes_than_the_limit_are_e2big) {
  open_with_write_multiple();
  EXPECT_EQ(write(Entries(limits.writes_per_message + 1, good)).error(), E2BIG);
  send_writes({good}, UINT64_MAX);
  EXPECT_EQ(expect_reply().error(), E2BIG);
  send_writes({good}, UINT64_MAX / 24 + 2);  // times 24 it wraps
  EXPECT_EQ(expect_reply().error(), E2BIG);
  EXPECT_EQ(done(write(Entries(limits.writes_per_message, good))), limits.writes_per_message);
}

TEST_F(SessionWriteMulti, the_posted_form_gets_no_reply_not_even_of_an_error) {
  open_with_write_multiple();
  send_writes({good, good}, 2, abi::vfio_user_flags_no_reply);
  send_writes({{.offset = 999, .region = 0, .count = 4}}, 1, abi::vfio_user_flags_no_reply);
  send_writes({good}, 7, abi::vfio_user_flags_no_reply);
  EXPECT_FALSE(take_reply());
  EXPECT_EQ(script->count("write"), 2u);
}

TEST_F(SessionWriteMulti, a_device_that_never_answers_costs_its_write_and_is_faulted) {
  script->hold_access = true;
  open_with_write_multiple();
  send_writes({good, good}, 2);
  world.host.advance(3s);
  EXPECT_EQ(expect_reply().error(), ETIMEDOUT);
  EXPECT_EQ(write({good}).error(), EIO);
}

TEST_F(SessionWriteMulti, a_write_that_the_device_does_not_take_whole_is_eio_and_ends_it) {
  script->hold_access = true;
  open_with_write_multiple();
  for (const std::size_t before : {0U, 1U}) {
    send_writes({good, good, good}, 3);
    for (std::size_t i = 0; i < before; ++i) {
      script->writes.back().complete_all();
      world.host.run();
    }
    script->writes.back().complete(3U);
    world.host.run();
    const Reply reply = expect_reply();
    EXPECT_EQ(reply.error(), before == 0 ? EIO : 0);
    if (before != 0) {
      EXPECT_EQ(done(reply), before);
    }
  }
  EXPECT_EQ(script->count("write"), 3u);
}

TEST_F(SessionWriteMulti, an_end_in_the_middle_writes_no_more) {
  script->hold_access = true;
  open_with_write_multiple();
  send_writes({good, good}, 2);
  session->end("killed");
  script->writes.front().complete_all();
  world.host.run();
  EXPECT_EQ(script->count("write"), 1u);
}

TEST_F(SessionWriteMulti, a_write_with_descriptors_is_refused) {
  open_with_write_multiple();
  std::vector<os::UniqueFd> fds;
  fds.push_back(os::duplicate(0).value());
  const abi::VfioUserWriteMulti head{.count = 0};
  EXPECT_EQ(ask(abi::vfio_user_region_write_multi, head, std::move(fds)).error(), EINVAL);
}

}  // namespace
}  // namespace umdev::vfio_user
