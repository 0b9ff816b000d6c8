// Files of the mount as programs use them, without a supervisor.
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstring>
#include <set>
#include <thread>

#include "tests/integration/uapi/node_world.h"

namespace umdev::test {
namespace {

using Nodes = NodeWorld;

std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  while (const dirent* entry = ::readdir(directory)) names.insert(entry->d_name);
  ::closedir(directory);
  return names;
}

TEST_F(Nodes, C38_are_those_of_the_kernel) {
  EXPECT_EQ(
      in_child([&] {
        CHECK_OR_FAIL(names_in(node("")) == (std::set<std::string>{".", "..", "iommu", "vfio"}));
        CHECK_OR_FAIL(names_in(node("vfio")) ==
                      (std::set<std::string>{".", "..", "vfio", "devices", "4", "9"}));
        CHECK_OR_FAIL(names_in(node("vfio/devices")) == (std::set<std::string>{".", "..", "vfio2"}));
        struct stat status{};
        CHECK_OR_FAIL(::stat(node("vfio/vfio").c_str(), &status) == 0 && (status.st_mode & 07777U) == 0666);
        CHECK_OR_FAIL(::stat(node("vfio/4").c_str(), &status) == 0 && (status.st_mode & 07777U) == 0600);
        CHECK_OR_FAIL(::open(node("vfio/5").c_str(), O_RDWR) < 0 && errno == ENOENT);
        CHECK_OR_FAIL(::open(node("vfio/9").c_str(), O_RDWR) < 0 && errno == EBUSY);
        CHECK_OR_FAIL(::open(node("vfio/new").c_str(), O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES);
        CHECK_OR_FAIL(::open(node("new/0000000000000001").c_str(), O_RDWR) < 0 && errno == ENOENT);
        return 0;
      }),
      0);
}

TEST_F(Nodes, keep_the_permissions_that_they_are_given) {
  EXPECT_EQ(
      in_child([&] {
        struct stat status{};
        CHECK_OR_FAIL(::chmod(node("vfio/4").c_str(), 0640) == 0);
        CHECK_OR_FAIL(::stat(node("vfio/4").c_str(), &status) == 0 && (status.st_mode & 07777U) == 0640);
        CHECK_OR_FAIL(::stat(node("vfio/devices/vfio2").c_str(), &status) == 0 &&
                      (status.st_mode & 07777U) == 0600);
        return 0;
      }),
      0);
}

TEST_F(Nodes, commands_reach_the_file_with_the_callers_memory) {
  EXPECT_EQ(in_child([&] {
              const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              CHECK_OR_FAIL(::ioctl(fd, plain_seven) == 7);
              std::uint32_t number = 41;
              CHECK_OR_FAIL(::ioctl(fd, plain_add_one, &number) == 0 && number == 42);
              CHECK_OR_FAIL(::ioctl(fd, plain_add_one, nullptr) < 0 && errno == EFAULT);
              void* read_only = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              CHECK_OR_FAIL(::ioctl(fd, plain_add_one, read_only) < 0 && errno == EFAULT);
              CHECK_OR_FAIL(::ioctl(fd, plain_add_one, ~0UL) < 0 && errno == EFAULT);
              CHECK_OR_FAIL(::ioctl(fd, 0x3bff) < 0 && errno == ENOTTY);
              CHECK_OR_FAIL(::ioctl(fd, plain_give) < 0 && errno == EOPNOTSUPP);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_F(Nodes, accesses_have_offsets_and_errors) {
  EXPECT_EQ(
      in_child([&] {
        const int fd = ::open(node("vfio/devices/vfio2").c_str(), O_RDWR);
        std::uint32_t value = 0;
        CHECK_OR_FAIL(::pread(fd, &value, 4, 7L << 40) == 4 && value == 0x07070707);
        CHECK_OR_FAIL(::pwrite(fd, &value, 4, 7L << 40) == 4);
        CHECK_OR_FAIL(::pwrite(fd, &value, 4, 13) < 0 && errno == EIO);
        CHECK_OR_FAIL(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
        return 0;
      }),
      0);
}

TEST_F(Nodes, a_descriptor_tells_which_open_it_is_of) {
  EXPECT_EQ(in_child([&] {
              const int container = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const int another = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const int group = ::open(node("vfio/4").c_str(), O_RDWR);
              const int iommu = ::open(node("iommu").c_str(), O_RDWR);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, another) == 1);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, group) == 2);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, ::dup(group)) == 2);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, iommu) == 4);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, 0) == 0);
              CHECK_OR_FAIL(::ioctl(container, plain_kind_of, 999) < 0 && errno == EBADF);
              // The same inode a second time could not be told from the first.
              const std::string again = "/proc/self/fd/" + std::to_string(group);
              CHECK_OR_FAIL(::open(again.c_str(), O_RDWR) < 0 && errno == EBUSY);
              return 0;
            }),
            0);
}

TEST_F(Nodes, eventfds_are_taken_and_nothing_else) {
  EXPECT_EQ(in_child([&] {
              const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const int event = ::eventfd(0, 0);
              std::uint64_t count = 0;
              CHECK_OR_FAIL(::ioctl(fd, plain_signal, event) == 8);
              CHECK_OR_FAIL(::read(event, &count, sizeof count) == 8 && count == 1);
              CHECK_OR_FAIL(::ioctl(fd, plain_signal, 999) < 0 && errno == EBADF);
              CHECK_OR_FAIL(::ioctl(fd, plain_signal, fd) < 0 && errno == EINVAL);
              return 0;
            }),
            0);
}

TEST_F(Nodes, a_file_closes_with_its_last_descriptor) {
  EXPECT_EQ(in_child([&] {
              const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const int second = ::dup(fd);
              ::close(fd);
              CHECK_OR_FAIL(::ioctl(second, plain_seven) == 7);
              return in_child([&] {
                ::close_range(0, second - 1U, 0);
                CHECK_OR_FAIL(::ioctl(second, plain_seven) == 7);
                return 0;
              });
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_F(Nodes, what_depends_on_closes_comes_after_a_close_that_is_slow) {
  EXPECT_EQ(in_child([&] {
              const int fd = ::open(node("vfio/4").c_str(), O_RDWR);
              const int other = ::open(node("iommu").c_str(), O_RDWR);
              CHECK_OR_FAIL(::ioctl(fd, plain_count) == 2);
              CHECK_OR_FAIL(::ioctl(fd, plain_slow_closes) == 0);
              ::close(other);
              CHECK_OR_FAIL(::ioctl(fd, plain_count) == 1);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

// The kernel has a limit for requests that nobody waits for; and what a process has open it closes in no
// order.
TEST_F(Nodes, whoever_comes_next_finds_closed_all_that_a_program_had) {
  constexpr int files = 500;
  for (int round = 0; round != 5; ++round) {
    EXPECT_EQ(in_child([&] {
                for (int file = 0; file != files; ++file)
                  CHECK_OR_FAIL(::open(node("iommu").c_str(), O_RDWR) >= 0);
                return 0;
              }),
              0);
    EXPECT_EQ(in_child([&] {
                const int fd = ::open(node("vfio/4").c_str(), O_RDWR);
                CHECK_OR_FAIL(::ioctl(fd, plain_count) == 1);
                return 0;
              }),
              0);
  }
}

TEST_F(Nodes, a_descriptor_may_be_sent_to_another_process) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const auto message = [](int* fd) {
    static char byte;
    static iovec piece{.iov_base = &byte, .iov_len = 1};
    static char control[CMSG_SPACE(sizeof(int))];
    msghdr words{};
    words.msg_iov = &piece;
    words.msg_iovlen = 1;
    words.msg_control = control;
    words.msg_controllen = sizeof control;
    if (fd == nullptr) return words;
    cmsghdr* header = CMSG_FIRSTHDR(&words);
    *header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), fd, sizeof(int));
    return words;
  };
  EXPECT_EQ(in_child([&] {
              int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const msghdr words = message(&fd);
              CHECK_OR_FAIL(::sendmsg(ends[0], &words, 0) == 1);
              return 0;
            }),
            0);
  EXPECT_EQ(plain_.open_files, 1);
  EXPECT_EQ(in_child([&] {
              msghdr words = message(nullptr);
              CHECK_OR_FAIL(::recvmsg(ends[1], &words, 0) == 1);
              int fd = -1;
              std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&words)), sizeof fd);
              std::uint32_t number = 1;
              CHECK_OR_FAIL(::ioctl(fd, plain_add_one, &number) == 0 && number == 2);
              return 0;
            }),
            0);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_TRUE(all_files_close());
}

TEST_F(Nodes, a_call_that_waits_delays_nobody_and_may_be_killed) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
    ::ioctl(fd, plain_hang);
    ::_exit(0);
  }
  while (plain_.count_hanging() == 0) ::usleep(1000);
  EXPECT_EQ(in_child([&] {
              CHECK_OR_FAIL(::ioctl(::open(node("vfio/vfio").c_str(), O_RDWR), plain_seven) == 7);
              return 0;
            }),
            0);
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(all_files_close());
  // Its answer finds nobody.
  const std::lock_guard lock(plain_.mutex);
  plain_.hanging.front()(ioctl::Answer{.value = 1});
  plain_.hanging.clear();
}

TEST_F(Nodes, a_call_that_hangs_the_thread_which_serves_it_delays_nobody_for_long) {
  std::vector<pid_t> children;
  for (int count = 1; count <= 3; ++count) {
    children.push_back(::fork());
    if (children.back() == 0) {
      const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
      ::_exit(::ioctl(fd, plain_block) == 1 ? 0 : 1);
    }
    while (plain_.blocked < count) ::usleep(1000);
  }
  EXPECT_EQ(in_child([&] {
              const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              for (int round = 0; round < 50; ++round) CHECK_OR_FAIL(::ioctl(fd, plain_seven) == 7);
              return 0;
            }),
            0);
  plain_.released = true;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(all_files_close());
}

TEST_F(Nodes, the_end_of_the_mount_ends_calls) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close_range(3, ~0U, 0);  // the server's own end of the mount
    const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
    const bool ended = ::ioctl(fd, plain_hang) < 0;
    ::_exit(ended && ::ioctl(fd, plain_seven) < 0 && (errno == ENOTCONN || errno == ECONNABORTED) ? 0 : 1);
  }
  while (plain_.count_hanging() == 0) ::usleep(1000);
  mount_->end();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// --- Memory for devices.

constexpr std::size_t lent_size = 8192;

// In a child: lends memory that begins with the text, waits for a byte on the pipe, and looks for another
// text.
int lend_and_wait(const std::string& path, void* memory, int pipe, const char* expected) {
  const int fd = ::open(path.c_str(), O_RDWR);
  const std::uint64_t words[2] = {reinterpret_cast<std::uint64_t>(memory), lent_size};
  CHECK_OR_FAIL(memory != MAP_FAILED);
  std::snprintf(static_cast<char*>(memory), lent_size, "from the program");
  CHECK_OR_FAIL(::ioctl(fd, plain_lend, words) == 0);
  char byte = 0;
  CHECK_OR_FAIL(::write(pipe, "", 1) == 1 && ::read(pipe, &byte, 1) == 1);
  CHECK_OR_FAIL(std::strcmp(static_cast<char*>(memory), expected) == 0);
  return 0;
}

class LentMemory : public NodeWorld {
 protected:
  // The memory that `make` makes in a child is read and written by a device; mapped or not.
  template <typename Make>
  void check(Make make, bool is_mapped) {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(lend_and_wait(node("vfio/vfio"), make(), ends[1], "from the device!"));
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);
    std::string text(16, '\0');
    const std::string answer = "from the device!";
    if (is_mapped) {
      const Bytes bytes = plain_.lent.backing->mapped();
      ASSERT_GE(bytes.size(), plain_.lent.offset + lent_size);
      std::memcpy(text.data(), bytes.data() + plain_.lent.offset, text.size());
      std::memcpy(bytes.data() + plain_.lent.offset, answer.data(), answer.size());
    } else {
      EXPECT_TRUE(plain_.lent.backing->mapped().empty());
      int done = 0;
      plain_.lent.backing->read(plain_.lent.offset, std::as_writable_bytes(std::span(text)),
                                [&](Result<> result) { done += result ? 1 : 0; });
      plain_.lent.backing->write(plain_.lent.offset, std::as_bytes(std::span(answer)),
                                 [&](Result<> result) { done += result ? 1 : 0; });
      EXPECT_EQ(done, 2);
    }
    EXPECT_EQ(text, "from the program");
    ASSERT_EQ(::write(ends[0], "", 1), 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "line " << WEXITSTATUS(status);
    ::close(ends[0]);
    ::close(ends[1]);
  }
};

TEST_F(LentMemory, of_a_memfd_is_shared) {
  check(
      [] {
        const int memory = ::memfd_create("lent", 0);
        [[maybe_unused]] const int sized = ::ftruncate(memory, 4096 + lent_size);
        return ::mmap(nullptr, lent_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 4096);
      },
      true);
}

TEST_F(LentMemory, shared_without_a_name_is_shared_with_us_where_we_may) {
  // Without the privilege for map_files nobody has a descriptor of it.
  check([] { return ::mmap(nullptr, lent_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); },
        ::geteuid() == 0);
}

TEST_F(LentMemory, of_a_programs_own_is_copied) {
  check([] { return ::mmap(nullptr, lent_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); },
        false);
}

TEST_F(LentMemory, goes_with_the_program) {
  EXPECT_EQ(in_child([&] {
              static char memory[lent_size];
              const int fd = ::open(node("vfio/vfio").c_str(), O_RDWR);
              const std::uint64_t words[2] = {reinterpret_cast<std::uint64_t>(memory), lent_size};
              CHECK_OR_FAIL(::ioctl(fd, plain_lend, words) == 0);
              return 0;
            }),
            0);
  std::byte byte{};
  int error = 0;
  plain_.lent.backing->read(plain_.lent.offset, std::span(&byte, 1),
                            [&](Result<> result) { error = result ? 0 : result.error().code; });
  EXPECT_EQ(error, EFAULT);
}

}  // namespace
}  // namespace umdev::test
