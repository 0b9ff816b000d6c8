// The client library against a live server: memory that it serves, many commands at once.
#include <numeric>

#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user {
namespace {

using test::Board;

constexpr std::uint64_t base = 0x40000000;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

using Memory = std::vector<std::byte>;

Memory pattern(std::size_t size, unsigned seed) {
  Memory bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + (i >> 9) + seed);
  return bytes;
}

class ClientLibrary : public ::testing::TestWithParam<bool> {
 public:
  Client connect() {
    Client client = server.silent_client(0);
    Capabilities offer = Client::usual_offer();
    offer.twin_socket = GetParam();
    const auto version = client.negotiate(offer);
    EXPECT_TRUE(version);
    EXPECT_EQ(version->capabilities.twin_socket, GetParam());
    return client;
  }
  // Has the board move `size` bytes between its memory and `iova`; what came of it.
  static int move(Client& client, std::uint32_t region, std::uint64_t iova, std::uint64_t size) {
    const std::array<std::uint64_t, 2> range{iova, size};
    EXPECT_TRUE(client.region_write(region, 0, std::as_bytes(std::span(range))));
    std::uint32_t code = EINPROGRESS;
    test::eventually([&] {
      EXPECT_TRUE(client.serve_for(std::chrono::milliseconds(1)));
      code = client.read<std::uint32_t>(test::board_dma, 0).value_or(EPIPE);
      return code != EINPROGRESS;
    });
    return static_cast<int>(code);
  }
  static Memory ram(Client& client, std::size_t size) {
    Memory bytes(size);
    for (std::size_t at = 0; at < size; at += 1U << 20) {
      const Bytes part = Bytes(bytes).subspan(at, std::min<std::size_t>(size - at, 1U << 20));
      EXPECT_EQ(client.region_read(test::board_ram, at, part), part.size());
    }
    return bytes;
  }

  test::LiveServer server;
};

INSTANTIATE_TEST_SUITE_P(Sockets, ClientLibrary, ::testing::Values(false, true),
                         [](const auto& with) { return with.param ? "twin" : "one"; });

TEST_P(ClientLibrary, serves_memory_that_was_lent_without_a_file) {
  Client client = connect();
  Memory memory = pattern(3 << 20, 1);
  ASSERT_TRUE(client.lend(base, memory, read_write));
  for (const std::size_t size : {std::size_t{1}, std::size_t{4097}, std::size_t{(3U << 20) - 5}}) {
    EXPECT_EQ(move(client, test::board_fetch, base + 5, size), 0) << size;
    EXPECT_EQ(ram(client, size), Memory(memory.begin() + 5, memory.begin() + 5 + static_cast<long>(size)));
  }
  const Memory before = memory;
  EXPECT_EQ(move(client, test::board_fill, base, 2U << 20), 0);
  const Memory filled = ram(client, 2U << 20);
  EXPECT_TRUE(std::equal(filled.begin(), filled.end(), memory.begin()));
  EXPECT_TRUE(std::equal(before.begin() + (2 << 20), before.end(), memory.begin() + (2 << 20)));
}

TEST_P(ClientLibrary, refuses_what_it_did_not_lend) {
  Client client = connect();
  Memory memory(8192);
  ASSERT_TRUE(client.lend(base, memory, abi::vfio_dma_map_flag_read));
  EXPECT_EQ(move(client, test::board_fill, base, 16), EPERM);
  // Mapped, and never given to the library.
  ASSERT_TRUE(client.dma_map(2 * base, 4096, read_write));
  EXPECT_EQ(move(client, test::board_fetch, 2 * base, 16), EFAULT);
}

TEST_P(ClientLibrary, memory_that_was_taken_back_is_not_touched) {
  Client client = connect();
  auto memory = std::make_unique<Memory>(1U << 20);
  ASSERT_TRUE(client.lend(base, *memory, read_write));
  for (int i = 0; i < 50; ++i) {
    const std::array<std::uint64_t, 2> range{base, 1U << 20};
    ASSERT_TRUE(client.region_write(test::board_fill, 0, std::as_bytes(std::span(range))));
    const auto time = std::chrono::microseconds(i % 2 * i * 20);
    ASSERT_TRUE(client.serve_for(time));
    ASSERT_TRUE(client.take_back(base, 1U << 20));
    memory = std::make_unique<Memory>(1U << 20);
    ASSERT_TRUE(client.lend(base, *memory, read_write));
    test::eventually(
        [&] { return client.read<std::uint32_t>(test::board_dma, 0).value_or(EPIPE) != EINPROGRESS; });
  }
  EXPECT_EQ(move(client, test::board_fill, base, 1U << 20), 0);
}

TEST_P(ClientLibrary, a_client_that_dies_leaves_nothing_behind) {
  {
    Client client = connect();
    Memory memory(1U << 20);
    ASSERT_TRUE(client.lend(base, memory, read_write));
    const std::array<std::uint64_t, 2> range{base, 1U << 20};
    ASSERT_TRUE(client.region_write(test::board_fetch, 0, std::as_bytes(std::span(range))));
  }
  EXPECT_TRUE(test::eventually([&] { return server.is_idle(); }));
  Client again = connect();
  EXPECT_TRUE(again.device_info());
}

TEST_P(ClientLibrary, many_commands_are_answered_in_order_and_collected_later) {
  Client client = connect();
  constexpr std::uint32_t count = 3000;
  std::vector<Ticket> tickets;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto written = client.submit_write(test::board_ram, std::uint64_t{8} * i, bytes_of(i));
    const auto read = client.submit_read(test::board_ram, std::uint64_t{8} * i, sizeof i);
    ASSERT_TRUE(written && read);
    tickets.push_back(*read);
  }
  EXPECT_EQ(client.outstanding(), 2 * count);
  ASSERT_TRUE(client.flush());
  // A call in between passes the others over.
  EXPECT_EQ(client.read<std::uint32_t>(test::board_ram, std::uint64_t{8} * (count - 1)), count - 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto written = client.collect();
    ASSERT_TRUE(written && written->reply);
    const auto read = client.collect();
    ASSERT_TRUE(read && read->reply);
    EXPECT_EQ(read->ticket, tickets[i]);
    EXPECT_EQ(load_le<std::uint32_t>(Client::read_data(*read->reply).value(), 0), i);
  }
  EXPECT_EQ(client.collect().error().code, ENOENT);
}

TEST_P(ClientLibrary, neither_side_waits_for_the_other_when_both_have_much_to_say) {
  Client client = connect();
  const Memory data(1U << 19, std::byte{5});
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.submit_write(test::board_ram, 0, data));
    ASSERT_TRUE(client.submit_read(test::board_ram, 0, 1U << 19));
  }
  ASSERT_TRUE(client.flush());
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(client.collect().value().reply);
}

TEST_P(ClientLibrary, an_error_is_its_commands_own) {
  Client client = connect();
  ASSERT_TRUE(client.submit_read(test::board_ram, Board::ram_size, 4));
  ASSERT_TRUE(client.submit_read(test::board_ram, 0, 4));
  EXPECT_EQ(client.collect().value().reply.error().code, EINVAL);
  EXPECT_TRUE(client.collect().value().reply);
}

TEST_P(ClientLibrary, writes_go_together_in_one_message) {
  Client client = connect();
  std::vector<abi::VfioUserWriteEntry> writes(100, {.offset = 0, .region = test::board_ram, .count = 1});
  for (std::uint8_t i = 0; i < 100; ++i) {
    writes[i].offset = i;
    writes[i].data[0] = i;
  }
  EXPECT_EQ(client.region_write_multi(writes), 100u);
  EXPECT_EQ(client.read<std::uint8_t>(test::board_ram, 99), 99u);
  for (auto& write : writes) write.data[0] = 7;
  ASSERT_TRUE(client.region_write_multi_posted(writes));
  EXPECT_EQ(client.read<std::uint8_t>(test::board_ram, 99), 7u);
}

TEST_P(ClientLibrary, features_and_io_fds_are_asked_for) {
  Client client = connect();
  EXPECT_EQ(client.migration_state().error().code, ENOTTY);
  EXPECT_EQ(client.mig_data_read(16).error().code, EINVAL);
  EXPECT_EQ(client.mig_data_write(Memory(4)).error().code, EINVAL);
  const auto fds = client.region_io_fds(test::board_ram);
  ASSERT_TRUE(fds);
  EXPECT_TRUE(fds->entries.empty());
  EXPECT_EQ(client.dma_unmap_dirty(base, 4096, 4096).error().code, ENOTTY);
}

}  // namespace
}  // namespace umdev::vfio_user
