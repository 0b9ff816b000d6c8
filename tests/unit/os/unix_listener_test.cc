#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/unix_socket.h"

namespace umdev::os {
namespace {

class UnixListenerAt : public testing::Test {
 protected:
  // Leaves a socket behind that nobody listens at, as a daemon that was killed does.
  static void leave_stale(const std::string& path) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  static void expect_works(const UnixListener& listener, const std::string& path) {
    const auto client = connect_to(path);
    ASSERT_TRUE(client) << errno_name(client.error().code);
    const auto server = listener.accept();
    ASSERT_TRUE(server);
    EXPECT_TRUE(is_close_on_exec(client->get()));
    EXPECT_TRUE(is_close_on_exec(server->get()));
    ASSERT_TRUE(send(client->get(), bytes_from("ping")));
    std::array<std::byte, 8> into;
    FdBatch fds;
    EXPECT_EQ(receive(server->get(), into, fds), 4U);
  }

  static mode_t mode_of(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_ / "a.sock";
};

TEST_F(UnixListenerAt, accepts_who_connects) {
  const auto listener = listen_at(path_, 0600);
  ASSERT_TRUE(listener);
  expect_works(*listener, path_);
}

TEST_F(UnixListenerAt, nobody_there_is_eagain) {
  const auto listener = listen_at(path_, 0600);
  ASSERT_TRUE(listener);
  EXPECT_EQ(listener->accept().error().code, EAGAIN);
}

TEST_F(UnixListenerAt, has_exactly_the_asked_permissions) {
  const mode_t before = ::umask(077);
  const auto open = listen_at(path_, 0666);
  ::umask(0);
  const auto closed = listen_at(scratch_ / "b.sock", 0600);
  ::umask(before);
  ASSERT_TRUE(open);
  ASSERT_TRUE(closed);
  EXPECT_EQ(mode_of(path_), 0666U);
  EXPECT_EQ(mode_of(scratch_ / "b.sock"), 0600U);
}

TEST_F(UnixListenerAt, a_path_longer_than_an_address_works) {
  std::string directory = scratch_.path();
  for (int depth = 0; depth < 3; ++depth) directory += "/" + std::string(100, 'd');
  std::filesystem::create_directories(directory);
  for (const std::size_t length : {1U, 41U, 80U}) {
    const std::string path = directory + "/" + std::string(length, 's');
    const auto listener = listen_at(path, 0600);
    ASSERT_TRUE(listener) << length;
    expect_works(*listener, path);
    EXPECT_EQ(listen_at(path, 0600).error().code, EADDRINUSE);
  }
}

TEST_F(UnixListenerAt, works_at_every_length_around_the_limit_of_an_address) {
  for (std::size_t total = 100; total <= 112; ++total) {
    const std::string path = scratch_ / std::string(total - scratch_.path().size() - 1, 's');
    const auto listener = listen_at(path, 0600);
    ASSERT_TRUE(listener) << total;
    expect_works(*listener, path);
  }
}

TEST_F(UnixListenerAt, a_last_part_that_no_address_holds_is_enametoolong) {
  const std::string path = scratch_ / std::string(120, 's');
  EXPECT_EQ(listen_at(path, 0600).error().code, ENAMETOOLONG);
  EXPECT_EQ(connect_to(path).error().code, ENAMETOOLONG);
}

TEST_F(UnixListenerAt, takes_over_the_socket_of_a_dead_listener) {
  leave_stale(path_);
  const auto listener = listen_at(path_, 0600);
  ASSERT_TRUE(listener);
  expect_works(*listener, path_);
}

TEST_F(UnixListenerAt, leaves_the_socket_of_a_living_listener) {
  const auto first = listen_at(path_, 0600);
  ASSERT_TRUE(first);
  EXPECT_EQ(listen_at(path_, 0600).error().code, EADDRINUSE);
  ASSERT_TRUE(first->accept());  // the one that asked whether somebody listens
  expect_works(*first, path_);
}

TEST_F(UnixListenerAt, leaves_the_socket_of_a_listener_whose_queue_is_full) {
  const auto first = listen_at(path_, 0600, 0);
  ASSERT_TRUE(first);
  const auto waiting = connect_to(path_);
  ASSERT_TRUE(waiting);
  EXPECT_EQ(listen_at(path_, 0600).error().code, EADDRINUSE);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerAt, leaves_what_is_no_socket) {
  std::ofstream(path_) << "precious";
  std::filesystem::create_symlink(path_, scratch_ / "link");
  std::filesystem::create_directory(scratch_ / "directory");
  for (const char* name : {"a.sock", "link", "directory"})
    EXPECT_EQ(listen_at(scratch_ / name, 0600).error().code, EADDRINUSE) << name;
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(UnixListenerAt, removes_its_path_at_the_end) {
  {
    const auto listener = listen_at(path_, 0600);
    ASSERT_TRUE(listener);
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerAt, leaves_a_path_that_another_has_taken_over) {
  auto first = listen_at(path_, 0600);
  ASSERT_TRUE(first);
  std::filesystem::rename(path_, scratch_ / "moved");  // keeps the inode number in use
  const auto second = listen_at(path_, 0600);
  ASSERT_TRUE(second);
  first->close();
  expect_works(*second, path_);
}

TEST_F(UnixListenerAt, moving_moves_the_path_with_it) {
  UnixListener kept;
  {
    auto listener = listen_at(path_, 0600);
    ASSERT_TRUE(listener);
    kept = std::move(*listener);
  }
  expect_works(kept, path_);
  kept = UnixListener();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerAt, bad_paths_have_their_errno) {
  struct Case {
    std::string path;
    int listen_code;
    int connect_code;
  };
  std::ofstream(scratch_ / "file") << "x";
  for (const auto& [path, listen_code, connect_code] :
       {Case{"", EINVAL, EINVAL}, Case{scratch_.path() + "/", EINVAL, EINVAL},
        Case{scratch_ / "..", EINVAL, EINVAL}, Case{scratch_ / "missing/a", ENOENT, ENOENT},
        Case{scratch_ / "file/a", ENOTDIR, ENOTDIR}, Case{std::string("/tmp/a\0b", 8), EINVAL, EINVAL},
        Case{scratch_ / "file", EADDRINUSE, ECONNREFUSED}}) {
    EXPECT_EQ(listen_at(path, 0600).error().code, listen_code) << path;
    EXPECT_EQ(connect_to(path).error().code, connect_code) << path;
  }
  EXPECT_EQ(connect_to(scratch_ / "nobody").error().code, ENOENT);
}

TEST_F(UnixListenerAt, connecting_where_nobody_listens_is_econnrefused) {
  leave_stale(path_);
  EXPECT_EQ(connect_to(path_).error().code, ECONNREFUSED);
}

TEST_F(UnixListenerAt, a_failure_leaves_no_descriptor_behind) {
  const auto living = listen_at(path_, 0600);
  ASSERT_TRUE(living);
  const std::size_t before = count_open_fds();
  EXPECT_FALSE(listen_at(path_, 0600));
  EXPECT_FALSE(listen_at(scratch_ / "missing/a", 0600));
  EXPECT_FALSE(connect_to(scratch_ / "nobody"));
  EXPECT_EQ(count_open_fds(), before);
}

TEST_F(UnixListenerAt, a_handed_listener_is_served_and_its_path_stays) {
  const UniqueFd bound(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = scratch_ / "handed";
  std::ranges::copy(path, address.sun_path);
  ASSERT_EQ(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(bound.get(), 1), 0);
  EXPECT_TRUE(inspect_socket(bound.get())->is_listening);
  EXPECT_EQ(inspect_socket(bound.get())->path, path);
  auto listener = adopt_listener(bound.dup().value()).value();
  expect_works(listener, path);
  EXPECT_EQ(listener.accept().error().code, EAGAIN);
  listener.close();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(UnixListenerAt, a_connected_socket_is_no_listener) {
  auto pair = make_socket_pair().value();
  EXPECT_FALSE(inspect_socket(pair[0].get())->is_listening);
  EXPECT_EQ(inspect_socket(pair[0].get())->path, "");
  EXPECT_EQ(adopt_listener(std::move(pair[0])).error().code, EINVAL);
}

TEST_F(UnixListenerAt, what_is_handed_over_must_be_a_unix_stream) {
  const UniqueFd datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const UniqueFd idle(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int fd : {datagrams.get(), idle.get(), null.get(), -1})
    EXPECT_EQ(inspect_socket(fd).error().code, EINVAL) << fd;
}

}  // namespace
}  // namespace umdev::os
