// A session as a stream: everything of it, and nothing that no session could be.
#include "umdev/vfio_user/session_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "tests/support/outcome.h"
#include "umdev/abi/vfio.h"
#include "umdev/os/memfd.h"

namespace umdev::vfio_user {
namespace {

using umdev::test::error_of;
using Octets = std::vector<std::byte>;

// A descriptor that says which it is.
os::UniqueFd file(char name) {
  os::UniqueFd fd = os::create_memfd("file", 1).value();
  EXPECT_EQ(::pwrite(fd.get(), &name, 1, 0), 1);
  return fd;
}
char name_of(const os::UniqueFd& fd) {
  char name = '-';
  return fd && ::pread(fd.get(), &name, 1, 0) == 1 ? name : '-';
}
std::vector<os::UniqueFd> files(std::string_view names) {
  std::vector<os::UniqueFd> all;
  for (const char name : names) all.push_back(file(name));
  return all;
}
std::string names_of(const std::vector<os::UniqueFd>& fds) {
  std::string names;
  for (const os::UniqueFd& fd : fds) names += name_of(fd);
  return names;
}

BacklogMessage waiting_message() {
  BacklogMessage message{
      .header = {}, .payload = Octets(5, std::byte{4}), .fds = std::make_unique<os::FdBatch>()};
  message.header.size = sizeof message.header + 5;
  message.header.command = abi::vfio_user_dma_map;
  message.fds->push(file('w'));
  return message;
}

// A session that has some of everything.
SessionState a_session() {
  SessionState state;
  state.agreed = {.max_msg_fds = 8,
                  .max_data_xfer_size = 4096,
                  .max_dma_maps = 100,
                  .pgsizes = 4096,
                  .write_multiple = true,
                  .twin_socket = true,
                  .migration = true,
                  .migration_pgsize = 8192,
                  .max_bitmap_size = 1024};
  state.fds_max = 3;
  state.shares_device = true;
  state.stream.socket = file('s');
  state.stream.received.bytes = Octets(40, std::byte{1});
  state.stream.received.attached.push_back({.position = 3, .lost = false, .fds = files("ab")});
  state.stream.received.attached.push_back({.position = 30, .lost = true, .fds = {}});
  state.stream.unsent.push_back({.bytes = Octets(7, std::byte{2}), .fds = {}});
  state.stream.unsent.push_back({.bytes = Octets(9, std::byte{3}), .fds = files("c")});
  state.twin.emplace();
  state.twin->socket = file('t');
  state.backlog.push_back(waiting_message());
  state.files = files("mn");
  state.mappings = {{.iova = 0, .size = 4096, .flags = 3, .file = 1, .offset = 8192},
                    {.iova = 1 << 20, .size = 4096, .flags = 1, .file = {}, .offset = 0}};
  vfio::IrqIndexSetup line{.enabled = true, .vectors_enabled = 0, .vectors = {}};
  line.vectors.push_back(
      {.masked = true, .line = true, .pending = false, .trigger = file('x'), .unmask = file('y')});
  vfio::IrqIndexSetup block{.enabled = true, .vectors_enabled = 2, .vectors = {}};
  block.vectors.resize(2);
  block.vectors[1].pending = block.vectors[1].masked = true;
  state.interrupts.push_back(std::move(line));
  state.interrupts.push_back(std::move(block));
  return state;
}

const Limits limits;

int error_after(const std::function<void(SessionState&)>& change) {
  SessionState state = a_session();
  change(state);
  return error_of(session_state_of(to_stream(std::move(state), limits).value(), limits));
}

TEST(SessionState, its_stream_says_everything_of_it) {
  vfio::MovedSession moved = to_stream(a_session(), limits).value();
  EXPECT_TRUE(moved.shares_device);
  EXPECT_EQ(names_of(moved.descriptors), "sabctwmnxy");
  const SessionState state = session_state_of(std::move(moved), limits).value();
  const SessionState wanted = a_session();
  EXPECT_EQ(state.agreed, wanted.agreed);
  EXPECT_EQ(state.fds_max, 3U);
  EXPECT_TRUE(state.shares_device);
  EXPECT_EQ(name_of(state.stream.socket), 's');
  EXPECT_EQ(state.stream.received.bytes, wanted.stream.received.bytes);
  ASSERT_EQ(state.stream.received.attached.size(), 2U);
  EXPECT_EQ(state.stream.received.attached[0].position, 3U);
  EXPECT_EQ(names_of(state.stream.received.attached[0].fds), "ab");
  EXPECT_TRUE(state.stream.received.attached[1].lost);
  ASSERT_EQ(state.stream.unsent.size(), 2U);
  EXPECT_EQ(state.stream.unsent[1].bytes, wanted.stream.unsent[1].bytes);
  EXPECT_EQ(names_of(state.stream.unsent[1].fds), "c");
  ASSERT_TRUE(state.twin);
  EXPECT_EQ(name_of(state.twin->socket), 't');
  ASSERT_EQ(state.backlog.size(), 1U);
  EXPECT_EQ(state.backlog[0].header.command, abi::vfio_user_dma_map);
  EXPECT_EQ(state.backlog[0].payload, Octets(5, std::byte{4}));
  EXPECT_EQ(state.backlog[0].fds->size(), 1U);
  EXPECT_EQ(names_of(state.files), "mn");
  ASSERT_EQ(state.mappings.size(), 2U);
  EXPECT_EQ(state.mappings[0].file, 1U);
  EXPECT_EQ(state.mappings[0].offset, 8192U);
  EXPECT_EQ(state.mappings[1].file, std::nullopt);
  ASSERT_EQ(state.interrupts.size(), 2U);
  const vfio::IrqVectorSetup& line = state.interrupts[0].vectors[0];
  EXPECT_TRUE(line.masked && line.line && !line.pending);
  EXPECT_EQ(name_of(line.trigger), 'x');
  EXPECT_EQ(name_of(line.unmask), 'y');
  EXPECT_EQ(state.interrupts[1].vectors_enabled, 2U);
  EXPECT_TRUE(state.interrupts[1].vectors[1].pending);
}

TEST(SessionState, a_stream_that_is_cut_or_damaged_is_einval) {
  const vfio::MovedSession whole = to_stream(a_session(), limits).value();
  const auto with = [&](Octets stream) {
    vfio::MovedSession moved = to_stream(a_session(), limits).value();
    moved.stream = std::move(stream);
    return error_of(session_state_of(std::move(moved), limits));
  };
  for (std::size_t size = 0; size < whole.stream.size(); size += 5)
    EXPECT_EQ(with({whole.stream.begin(), whole.stream.begin() + static_cast<std::ptrdiff_t>(size)}), EINVAL)
        << size;
  for (std::size_t at = 0; at < whole.stream.size(); at += 3) {
    Octets bad = whole.stream;
    bad[at] ^= std::byte{0x10};
    EXPECT_EQ(with(std::move(bad)), EINVAL) << at;
  }
}

TEST(SessionState, descriptors_that_are_missing_or_too_many_are_einval) {
  for (const bool more : {false, true}) {
    vfio::MovedSession moved = to_stream(a_session(), limits).value();
    if (more)
      moved.descriptors.push_back(file('z'));
    else
      moved.descriptors.pop_back();
    EXPECT_EQ(error_of(session_state_of(std::move(moved), limits)), EINVAL);
  }
  for (std::size_t i = 0; i < 10; ++i) {
    vfio::MovedSession moved = to_stream(a_session(), limits).value();
    moved.descriptors[i].reset();
    EXPECT_EQ(error_of(session_state_of(std::move(moved), limits)), EINVAL) << i;
  }
}

TEST(SessionState, what_no_session_could_be_is_einval) {
  ASSERT_EQ(error_after([](SessionState&) {}), 0);
  struct Case {
    const char* what;
    void (*change)(SessionState&);
  };
  const std::vector<Case> cases{
      {"no transfer size", [](SessionState& state) { state.agreed.max_data_xfer_size = 0; }},
      {"a larger transfer than ours",
       [](SessionState& state) { ++(state.agreed.max_data_xfer_size = 1U << 20); }},
      {"more descriptors a message than ours", [](SessionState& state) { state.agreed.max_msg_fds = 17; }},
      {"more mappings than ours", [](SessionState& state) { state.agreed.max_dma_maps = 65536; }},
      {"no page size", [](SessionState& state) { state.agreed.pgsizes = 0; }},
      {"an odd page size", [](SessionState& state) { state.agreed.migration_pgsize = 4097; }},
      {"a larger bitmap than ours", [](SessionState& state) { state.agreed.max_bitmap_size = 1U << 20; }},
      {"no socket", [](SessionState& state) { state.stream.socket.reset(); }},
      {"no twin", [](SessionState& state) { state.twin.reset(); }},
      {"a twin not agreed on", [](SessionState& state) { state.agreed.twin_socket = false; }},
      {"more received than a buffer",
       [](SessionState& state) { state.stream.received.bytes.resize(2U << 20); }},
      {"descriptors of nothing",
       [](SessionState& state) { state.stream.received.attached[1].position = 40; }},
      {"descriptors twice", [](SessionState& state) { state.stream.received.attached[1].position = 3; }},
      {"descriptors of three messages",
       [](SessionState& state) {
         state.stream.received.attached.push_back({.position = 31, .lost = true, .fds = {}});
       }},
      {"an empty reply", [](SessionState& state) { state.stream.unsent[0].bytes.clear(); }},
      {"more replies than may wait",
       [](SessionState& state) { state.stream.unsent[0].bytes.resize(1U << 22); }},
      {"a message of another size", [](SessionState& state) { ++state.backlog[0].header.size; }},
      {"more messages than may wait",
       [](SessionState& state) {
         while (state.backlog.size() < 1025) state.backlog.push_back(waiting_message());
       }},
      {"a mapping of no file", [](SessionState& state) { state.mappings[0].file = 2; }},
      {"a mapping for nothing", [](SessionState& state) { state.mappings[0].flags = 0; }},
      {"a mapping with other flags", [](SessionState& state) { state.mappings[0].flags = 7; }},
      {"an endless device", [](SessionState& state) { state.interrupts.resize(65); }},
      {"endless vectors", [](SessionState& state) { state.interrupts[1].vectors.resize(4097); }},
  };
  for (const Case& bad : cases) EXPECT_EQ(error_after(bad.change), EINVAL) << bad.what;
}

TEST(SessionState, a_stream_above_the_bound_is_e2big) {
  Limits small;
  small.moved_session = 100;
  EXPECT_EQ(error_of(to_stream(a_session(), small)), E2BIG);
  EXPECT_EQ(error_of(session_state_of(to_stream(a_session(), limits).value(), small)), EINVAL);
}

}  // namespace
}  // namespace umdev::vfio_user
