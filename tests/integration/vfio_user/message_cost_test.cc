// What a message costs the server, counted: system calls and allocations of all threads but the client's.
#include <sys/socket.h>

#include <thread>

#include "tests/integration/vfio_user/live_server.h"
#include "tests/support/counters/counters.h"
#include "umdev/os/spin_window.h"

namespace umdev::vfio_user::test {
namespace {

using umdev::test::Counts;
using umdev::test::counts_of_other_threads;

class MessageCost : public testing::Test {
 protected:
  static constexpr std::uint32_t access_size = 4;
  static constexpr std::size_t reply_size =
      sizeof(abi::VfioUserHeader) + sizeof(abi::VfioUserRegionAccess) + access_size;
  static constexpr int rounds = 200;

  void SetUp() override {
    if (!umdev::test::counters_count) GTEST_SKIP() << "a sanitizer has calls of its own";
  }

  // `count` reads in one send, then their replies.
  void exchange(int socket, std::size_t count) {
    constexpr abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = access_size};
    const abi::VfioUserHeader header = make_command(7, abi::vfio_user_region_read, sizeof access);
    std::vector<std::byte> all;
    for (std::size_t i = 0; i < count; ++i)
      for (const ConstBytes part : {bytes_of(header), bytes_of(access)})
        all.insert(all.end(), part.begin(), part.end());
    ASSERT_EQ(::send(socket, all.data(), all.size(), MSG_NOSIGNAL), static_cast<ssize_t>(all.size()));
    std::vector<std::byte> replies(count * reply_size);
    ASSERT_EQ(::recv(socket, replies.data(), replies.size(), MSG_WAITALL),
              static_cast<ssize_t>(replies.size()));
  }

  Counts cost_of(std::size_t count) {
    const int socket = client_.channel().socket();
    for (int i = 0; i < rounds; ++i) exchange(socket, count);  // buffers have their size then
    const Counts before = counts_of_other_threads();
    for (int i = 0; i < rounds; ++i) exchange(socket, count);
    return counts_of_other_threads() - before;
  }

  LiveServer live_;
  Client client_ = live_.client(0);
};

TEST_F(MessageCost, a_round_trip_is_three_system_calls_and_no_allocation) {
  const Counts cost = cost_of(1);
  EXPECT_LE(cost.system_calls, 3U * (rounds + 1));
  EXPECT_EQ(cost.allocations, 0U);
}

TEST_F(MessageCost, a_batch_shares_one_receive_and_one_send) {
  const Counts cost = cost_of(64);
  EXPECT_LE(cost.system_calls, 3U * (rounds + 1)) << "and one wait";
  EXPECT_EQ(cost.allocations, 0U);
}

// Looks are system calls: there are more of them while messages come, and none when nothing comes any more.
TEST_F(MessageCost, a_worker_that_looks_before_it_sleeps_sleeps_all_the_same) {
  using namespace std::chrono_literals;
  live_.workers->at(0).post([] { os::spin_of_this_thread().set_limit(1ms); });
  const Counts busy = cost_of(1);
  EXPECT_GE(busy.system_calls, 3U * rounds);
  EXPECT_EQ(busy.allocations, 0U);
  const auto is_quiet = [] {
    const Counts before = counts_of_other_threads();
    std::this_thread::sleep_for(50ms);
    return (counts_of_other_threads() - before).system_calls == 0;
  };
  EXPECT_TRUE(eventually(is_quiet));
}

}  // namespace
}  // namespace umdev::vfio_user::test
