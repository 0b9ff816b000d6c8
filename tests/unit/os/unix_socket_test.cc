#include "umdev/os/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <numeric>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/memfd.h"

namespace umdev::os {
namespace {

class UnixSocket : public testing::Test {
 protected:
  UnixSocket() {
    auto pair = make_socket_pair();
    EXPECT_TRUE(pair);
    near_ = std::move((*pair)[0]);
    far_ = std::move((*pair)[1]);
  }

  Result<std::string> receive_text(FdBatch& fds, std::size_t most = 64) {
    std::vector<std::byte> into(most);
    const std::size_t count = UMDEV_TRY(receive(near_.get(), into, fds));
    return text_from(std::span(into).first(count));
  }

  UniqueFd near_;
  UniqueFd far_;
  FdBatch fds_;
};

TEST_F(UnixSocket, carries_bytes_and_descriptors_in_order) {
  const auto first = create_memfd("first", 1);
  const auto second = create_memfd("second", 2);
  const std::array fds{first->get(), second->get()};
  EXPECT_EQ(send(far_.get(), bytes_from("hello"), fds), 5U);
  EXPECT_EQ(receive_text(fds_), "hello");
  ASSERT_EQ(fds_.size(), 2U);
  EXPECT_FALSE(fds_.lost());
  EXPECT_EQ(file_size(fds_.get(0)), 1U);
  EXPECT_EQ(file_size(fds_.get(1)), 2U);
  EXPECT_TRUE(is_close_on_exec(fds_.get(0)));
}

TEST_F(UnixSocket, gathers_pieces) {
  const auto one = bytes_from("one");
  const auto two = bytes_from("two");
  const std::array pieces{to_iovec(one), to_iovec({}), to_iovec(two)};
  EXPECT_EQ(send(far_.get(), pieces), 6U);
  EXPECT_EQ(receive_text(fds_), "onetwo");
}

TEST_F(UnixSocket, nothing_there_is_eagain_although_the_socket_blocks) {
  EXPECT_EQ(receive_text(fds_).error().code, EAGAIN);
}

TEST_F(UnixSocket, end_of_stream_is_zero_bytes) {
  far_.reset();
  EXPECT_EQ(receive_text(fds_), "");
}

TEST_F(UnixSocket, receiving_into_nothing_is_einval_so_that_it_is_never_taken_for_the_end) {
  EXPECT_EQ(receive(near_.get(), {}, fds_).error().code, EINVAL);
}

TEST_F(UnixSocket, a_dead_peer_is_epipe_and_no_signal) {
  near_.reset();
  EXPECT_EQ(send(far_.get(), bytes_from("x")).error().code, EPIPE);
}

TEST_F(UnixSocket, a_peer_that_died_with_our_bytes_unread_is_econnreset) {
  ASSERT_TRUE(send(near_.get(), bytes_from("unread")));
  far_.reset();
  EXPECT_EQ(receive_text(fds_).error().code, ECONNRESET);
}

TEST_F(UnixSocket, a_full_socket_takes_a_part_and_then_is_eagain) {
  const std::vector<std::byte> much(8 << 20);
  const auto sent = send(far_.get(), much);
  ASSERT_TRUE(sent);
  EXPECT_LT(*sent, much.size());
  EXPECT_EQ(send(far_.get(), much).error().code, EAGAIN);
}

TEST_F(UnixSocket, descriptors_come_with_the_first_byte_read) {
  const std::array fds{far_.get()};
  ASSERT_TRUE(send(far_.get(), bytes_from("abcdef"), fds));
  EXPECT_EQ(receive_text(fds_, 2), "ab");
  EXPECT_EQ(fds_.size(), 1U);
  EXPECT_EQ(receive_text(fds_), "cdef");
  EXPECT_EQ(fds_.size(), 1U);
}

TEST_F(UnixSocket, one_call_never_mixes_the_descriptors_of_two_messages) {
  const std::array fds{far_.get()};
  ASSERT_TRUE(send(far_.get(), bytes_from("one"), fds));
  ASSERT_TRUE(send(far_.get(), bytes_from("two"), fds));
  EXPECT_EQ(receive_text(fds_), "one");
  EXPECT_EQ(fds_.size(), 1U);
  EXPECT_EQ(receive_text(fds_), "two");
  EXPECT_EQ(fds_.size(), 2U);
}

TEST_F(UnixSocket, carries_the_most_that_linux_passes_and_refuses_more) {
  const std::vector<int> most(max_fds_per_message, far_.get());
  EXPECT_TRUE(send(far_.get(), bytes_from("x"), most));
  EXPECT_EQ(receive_text(fds_), "x");
  EXPECT_EQ(fds_.size(), max_fds_per_message);
  const std::vector<int> too_many(max_fds_per_message + 1, far_.get());
  EXPECT_EQ(send(far_.get(), bytes_from("x"), too_many).error().code, EINVAL);
}

TEST_F(UnixSocket, descriptors_without_a_byte_are_einval) {
  const std::array fds{far_.get()};
  EXPECT_EQ(send(far_.get(), ConstBytes(), fds).error().code, EINVAL);
  EXPECT_EQ(send(far_.get(), std::span<const iovec>()).error().code, EINVAL);
}

TEST_F(UnixSocket, more_pieces_than_the_kernel_takes_are_emsgsize) {
  const auto byte = bytes_from("x");
  const std::vector<iovec> pieces(1025, to_iovec(byte));
  EXPECT_EQ(send(far_.get(), pieces).error().code, EMSGSIZE);
}

TEST_F(UnixSocket, a_batch_without_room_closes_what_came_and_keeps_the_bytes) {
  const std::vector<int> most(max_fds_per_message, far_.get());
  ASSERT_TRUE(send(far_.get(), bytes_from("one"), most));
  ASSERT_TRUE(send(far_.get(), bytes_from("two"), std::span(most).first(2)));
  ASSERT_EQ(receive_text(fds_), "one");
  const std::size_t before = count_open_fds();
  EXPECT_EQ(receive_text(fds_), "two");
  EXPECT_TRUE(fds_.lost());
  EXPECT_EQ(fds_.size(), max_fds_per_message);
  EXPECT_EQ(count_open_fds(), before);
}

TEST_F(UnixSocket, a_full_descriptor_table_closes_what_came_and_keeps_the_bytes) {
  const std::vector<int> some(10, far_.get());
  ASSERT_TRUE(send(far_.get(), bytes_from("bytes"), some));
  const std::size_t before = count_open_fds();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Room for five more: the limit is on the number of a descriptor, so it is measured by taking one.
  const auto next = duplicate(far_.get());
  ASSERT_TRUE(next);
  const rlimit low{.rlim_cur = static_cast<rlim_t>(next->get()) + 5, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto text = receive_text(fds_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(text, "bytes");
  EXPECT_TRUE(fds_.lost());
  EXPECT_TRUE(fds_.empty());
  EXPECT_EQ(count_open_fds(), before + 1);
}

TEST_F(UnixSocket, a_flood_of_descriptors_leaks_none) {
  const std::size_t before = count_open_fds();
  const std::vector<int> most(max_fds_per_message, far_.get());
  for (int message = 0; message < 40; ++message) {
    ASSERT_TRUE(send(far_.get(), bytes_from("x"), most));
    ASSERT_EQ(receive_text(fds_), "x");
    fds_.clear();
  }
  EXPECT_EQ(count_open_fds(), before);
}

TEST_F(UnixSocket, says_who_the_peer_is) {
  const auto credentials = peer_credentials(near_.get());
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->pid, ::getpid());
  EXPECT_EQ(credentials->uid, ::getuid());
  EXPECT_EQ(credentials->gid, ::getgid());
}

TEST_F(UnixSocket, errors_of_bad_descriptors) {
  const auto memfd = create_memfd("test", 8);
  for (const auto& [fd, code] : {std::pair{-1, EBADF}, std::pair{memfd->get(), ENOTSOCK}}) {
    std::array<std::byte, 8> into;
    EXPECT_EQ(receive(fd, into, fds_).error().code, code);
    EXPECT_EQ(send(fd, bytes_from("x")).error().code, code);
    EXPECT_EQ(peer_credentials(fd).error().code, code);
  }
  const std::array bad{-1};
  EXPECT_EQ(send(far_.get(), bytes_from("x"), bad).error().code, EBADF);
}

}  // namespace
}  // namespace umdev::os
