// A client that has exchanged many small messages, and then sends something else: a socket that is watched by
// edge must not keep anything back.
#include <sys/socket.h>

#include <future>

#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user::test {
namespace {

class Conversation : public testing::Test {
 protected:
  Conversation() {
    for (std::uint32_t i = 0; i < 40; ++i) EXPECT_TRUE(client_.read<std::uint32_t>(board_ram, 0));
  }

  // Everything that the client does in `act` is there before the server looks.
  template <typename Act>
  void at_once(Act act) {
    std::promise<void> stopped;
    std::promise<void> go_on;
    // The worker's own: it may look when this function has returned.
    live_.workers->at(0).post([&stopped, goes_on = go_on.get_future().share()] {
      stopped.set_value();
      goes_on.wait();
    });
    stopped.get_future().wait();
    act();
    go_on.set_value();
  }

  static std::vector<std::byte> message(std::uint16_t id, abi::VfioUserCommand command, ConstBytes payload,
                                        std::uint32_t flags = 0) {
    const abi::VfioUserHeader header = make_command(id, command, payload.size(), flags);
    std::vector<std::byte> all;
    for (const ConstBytes part : {bytes_of(header), payload}) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  static std::vector<std::byte> read_of_ram(std::uint16_t id) {
    constexpr abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = 4};
    return message(id, abi::vfio_user_region_read, bytes_of(access));
  }

  LiveServer live_;
  Client client_ = live_.client(0);
};

TEST_F(Conversation, what_lies_behind_descriptors_is_received_as_well) {
  const os::UniqueFd memory = os::create_memfd("guest", 4 * Board::page).value();
  at_once([&] {
    for (std::uint16_t id = 0; id < 4; ++id) {
      const abi::VfioUserDmaMap map{.argsz = sizeof map,
                                    .flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                                    .offset = 0,
                                    .iova = id * Board::page,
                                    .size = Board::page};
      const int fd = memory.get();
      ASSERT_TRUE(
          client_.channel().send(message(id, abi::vfio_user_dma_map, bytes_of(map)), std::span(&fd, 1)));
    }
    ASSERT_TRUE(client_.channel().send(read_of_ram(4)));
  });
  for (std::uint16_t id = 0; id < 5; ++id) {
    const auto reply = client_.channel().receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.message_id, id);
    EXPECT_EQ(reply->header.error, 0U);
  }
}

TEST_F(Conversation, more_than_one_receive_takes_is_received) {
  constexpr std::uint16_t many = 1500;
  at_once([&] {
    std::vector<std::byte> all;
    for (std::uint16_t id = 0; id < many; ++id) {
      const auto one = read_of_ram(id);
      all.insert(all.end(), one.begin(), one.end());
    }
    ASSERT_GT(all.size(), 2 * Limits{}.receive_buffer);
    ASSERT_TRUE(client_.channel().send(all));
  });
  for (std::uint16_t id = 0; id < many; ++id) {
    const auto reply = client_.channel().receive();
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->header.message_id, id);
  }
}

TEST_F(Conversation, its_end_is_seen_with_the_last_words) {
  constexpr abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = 4};
  std::vector<std::byte> write(sizeof access + access.count);
  std::ranges::copy(bytes_of(access), write.begin());
  at_once([&] {
    ASSERT_TRUE(client_.channel().send(
        message(1, abi::vfio_user_region_write, write, abi::vfio_user_flags_no_reply)));
    client_.channel().close();
  });
  EXPECT_TRUE(eventually([&] { return live_.is_idle(); }));
  EXPECT_EQ(live_.instances[0].state->write_count->load(), 1);
}

TEST_F(Conversation, a_client_that_has_said_all_gets_its_answers_and_is_let_go) {
  at_once([&] {
    ASSERT_TRUE(client_.channel().send(read_of_ram(1)));
    ASSERT_EQ(::shutdown(client_.channel().socket(), SHUT_WR), 0);
  });
  EXPECT_TRUE(client_.channel().receive());
  EXPECT_EQ(client_.channel().receive().error().code, ECONNRESET);
  EXPECT_TRUE(eventually([&] { return live_.is_idle(); }));
}

}  // namespace
}  // namespace umdev::vfio_user::test
