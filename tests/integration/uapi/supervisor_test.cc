// What a file system cannot carry, carried by a supervisor: a child becomes a supervised program and does
// with the nodes what a program does. Twice: the supervisor traces the program, or the daemon does.
#include "umdev/run/supervisor.h"

#include <sys/mman.h>
#include <sys/time.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "tests/integration/uapi/lent_tracers.h"
#include "tests/integration/uapi/node_world.h"
#include "umdev/run/filter.h"

namespace umdev::test {
namespace {

enum class TracedBy : std::uint8_t { supervisor, daemon };

class Supervised : protected LentTracers, public NodeWorld, public testing::WithParamInterface<TracedBy> {
 protected:
  Supervised() : NodeWorld(GetParam() == TracedBy::daemon ? tracers.get() : nullptr) {}
  void TearDown() override {
    NodeWorld::TearDown();
    EXPECT_TRUE(tracers->end(std::chrono::seconds(10))) << "a tracer has not ended";
  }

  // Is the child traced, and by whom it should be?
  bool is_traced_by_the_right_one() const {
    std::ifstream status("/proc/self/status");
    std::string word;
    pid_t tracer = 0;
    while (status >> word)
      if (word == "TracerPid:") status >> tracer;
    return tracer != 0 && is_of_daemon(tracer) == (GetParam() == TracedBy::daemon);
  }
  // A thread of this process (as the child calls it: of the one that serves the nodes).
  bool is_of_daemon(pid_t thread) const {
    return std::filesystem::exists("/proc/" + std::to_string(daemon_) + "/task/" + std::to_string(thread));
  }
  static char state_of(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/stat");
    std::string number;
    std::string name;
    char state = 0;
    status >> number >> name >> state;
    return state;
  }
  const pid_t daemon_ = ::getpid();

  // This process, a child, under supervision, with nothing of the server's but the descriptors below `first`.
  bool come_under_supervision(unsigned first = 3) const {
    ::close_range(first, ~0U, 0);
    auto supervisor = run::Supervisor::start(mount_directory_);
    const auto listener = run::install_filter();
    return supervisor && listener && supervisor->take_charge(*listener);
  }

  // in_child() of a supervised one.
  template <typename Body>
  int supervised(Body body) {
    return in_child([&] {
      CHECK_OR_FAIL(come_under_supervision());
      return body();
    });
  }

  int open_group() const { return ::open(node("vfio/4").c_str(), O_RDWR); }
};

TEST_P(Supervised, C25_a_new_descriptor_is_a_file_of_the_mount) {
  EXPECT_EQ(supervised([&] {
              const int group = open_group();
              const int device = ::ioctl(group, plain_give, "a-device");
              CHECK_OR_FAIL(device > group);
              CHECK_OR_FAIL((::fcntl(device, F_GETFD) & FD_CLOEXEC) != 0);
              std::uint32_t value = 0;
              CHECK_OR_FAIL(::pread(device, &value, 4, 5L << 40) == 4 && value == 0x05050505);
              CHECK_OR_FAIL(::ioctl(group, plain_kind_of, device) == 3);
              CHECK_OR_FAIL(::ioctl(group, plain_give, nullptr) < 0 && errno == EFAULT);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_P(Supervised, calls_on_other_files_are_the_kernels) {
  EXPECT_EQ(supervised([&] {
              int ends[2];
              CHECK_OR_FAIL(::pipe(ends) == 0);
              CHECK_OR_FAIL(::ioctl(ends[0], plain_give, "a-device") < 0 && errno == ENOTTY);
              CHECK_OR_FAIL(::ioctl(-1, plain_give, "a-device") < 0 && errno == EBADF);
              const int memory = ::memfd_create("own", 0);
              CHECK_OR_FAIL(::ftruncate(memory, 4096) == 0);
              void* mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
              CHECK_OR_FAIL(mapped != MAP_FAILED);
              std::memcpy(mapped, "text", 5);
              char text[5] = {};
              CHECK_OR_FAIL(::pread(memory, text, 4, 0) == 4 && std::strcmp(text, "text") == 0);
              return 0;
            }),
            0);
}

TEST_P(Supervised, a_region_is_mapped_where_the_program_wants_it) {
  EXPECT_EQ(supervised([&] {
              const int device = ::ioctl(open_group(), plain_give, "a-device");
              for (const off_t offset : {off_t{0}, off_t{2} << 40}) {
                void* place = ::mmap(nullptr, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                auto* mapped = static_cast<volatile int*>(
                    ::mmap(place, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device, offset));
                CHECK_OR_FAIL(mapped == place);
                mapped[1] = 4711;
                auto* other =
                    static_cast<volatile int*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, device, offset));
                CHECK_OR_FAIL(other != MAP_FAILED && other != mapped && other[1] == 4711);
              }
              // No descriptor of a helper's is left.
              CHECK_OR_FAIL(::dup(device) == device + 1);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_P(Supervised, what_cannot_be_mapped_has_the_kernels_errors) {
  EXPECT_EQ(supervised([&] {
              const int group = open_group();
              const int device = ::ioctl(group, plain_give, "a-device");
              const auto error_of = [](std::size_t size, int flags, int fd, off_t offset) {
                return ::mmap(nullptr, size, PROT_READ, flags, fd, offset) == MAP_FAILED ? errno : 0;
              };
              CHECK_OR_FAIL(error_of(4096, MAP_SHARED, group, 0) == ENODEV);
              CHECK_OR_FAIL(error_of(16384, MAP_SHARED, device, 0) == EINVAL);
              CHECK_OR_FAIL(error_of(4096, MAP_PRIVATE, device, off_t{1} << 40) == EINVAL);
              return 0;
            }),
            0);
}

TEST_P(Supervised, children_are_supervised_too) {
  EXPECT_EQ(supervised([&] {
              const int group = open_group();
              return in_child([&] {
                CHECK_OR_FAIL(::ioctl(group, plain_give, "a-device") >= 0);
                return 0;
              });
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_P(Supervised, a_signal_does_not_begin_a_call_again) {
  EXPECT_EQ(supervised([&] {
              static volatile int signals = 0;
              ::signal(SIGALRM, [](int) { signals = signals + 1; });
              const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 1000},
                                    .it_value = {.tv_sec = 0, .tv_usec = 300}};
              const int group = open_group();
              ::setitimer(ITIMER_REAL, &often, nullptr);
              for (int round = 0; round < 100; ++round) {
                const int device = ::ioctl(group, plain_give, "a-device");
                CHECK_OR_FAIL(device >= 0);
                void* mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, 0);
                CHECK_OR_FAIL(mapped != MAP_FAILED && ::munmap(mapped, 4096) == 0);
                CHECK_OR_FAIL(::close(device) == 0);
              }
              CHECK_OR_FAIL(signals > 0);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close());
}

TEST_P(Supervised, a_program_may_be_killed_at_any_moment) {
  for (int round = 0; round < 60; ++round) {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], 3);
      if (!come_under_supervision(4)) ::_exit(1);
      [[maybe_unused]] const auto said = ::write(3, "", 1);
      for (;;) {
        const int group = open_group();
        const int device = ::ioctl(group, plain_give, "a-device");
        ::munmap(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, 0), 4096);
        ::close(device);
        ::close(group);
      }
    }
    ::close(ends[1]);
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    ::close(ends[0]);
    ::usleep(static_cast<useconds_t>(round * 97 % 4000));
    ::kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for_end(child)));
  }
  EXPECT_TRUE(all_files_close());
}

TEST_P(Supervised, after_the_daemons_end_calls_fail_and_the_program_goes_on) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  int ready[2] = {-1, -1};
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[0], 3);
    ::dup2(ready[1], 4);
    if (!come_under_supervision(5)) ::_exit(1);
    const int group = open_group();
    const int device = ::ioctl(group, plain_give, "a-device");
    auto* at = static_cast<volatile std::uint32_t*>(
        ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, off_t{6} << 40));
    char byte = 0;
    if (device < 0 || at == MAP_FAILED || *at != 0x06060606) ::_exit(2);
    if (::write(4, "", 1) != 1 || ::read(3, &byte, 1) != 1) ::_exit(2);
    if (::ioctl(group, plain_give, "a-device") >= 0 || errno != ENOTCONN) ::_exit(3);
    if (::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, 0) != MAP_FAILED) ::_exit(4);
    if (::pread(device, &byte, 1, 0) >= 0) ::_exit(5);
    ::signal(SIGBUS, [](int) { ::_exit(0); });
    ::_exit(static_cast<int>(*at) % 2 + 6);
  }
  ::close(ends[0]);
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  mount_->end();
  EXPECT_TRUE(tracers->end(std::chrono::seconds(10)));
  ASSERT_EQ(::write(ends[1], "", 1), 1);
  const int status = wait_for_end(child);
  EXPECT_EQ(status, 0) << "status " << WEXITSTATUS(status);
  ::close(ready[0]);
  ::close(ends[1]);
}

TEST_P(Supervised, a_mapped_register_is_an_access_to_the_device) {
  EXPECT_EQ(supervised([&] {
              const int device = ::ioctl(open_group(), plain_give, "a-device");
              auto* at = static_cast<volatile std::uint32_t*>(
                  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, off_t{6} << 40));
              CHECK_OR_FAIL(at != MAP_FAILED && is_traced_by_the_right_one());
              CHECK_OR_FAIL(at[3] == 0x06060606);
              at[3] = 7;
              CHECK_OR_FAIL(at[3] == 0x06060606);
              // Another device's are another's, and a mapping that may only be read stays that.
              const int other = ::ioctl(open_group(), plain_give, "a-device");
              const auto* read_only = static_cast<volatile std::uint32_t*>(
                  ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, other, off_t{6} << 40));
              CHECK_OR_FAIL(read_only != MAP_FAILED && *read_only == 0x06060606);
              return 0;
            }),
            0);
  EXPECT_TRUE(all_files_close()) << "neither a mapping nor whoever serves it keeps the device";
}

TEST_P(Supervised, a_register_of_a_closed_device_is_sigbus) {
  EXPECT_EQ(supervised([&] {
              ::signal(SIGBUS, SIG_DFL);  // a sanitizer has a handler of its own
              const int device = ::ioctl(open_group(), plain_give, "a-device");
              auto* at = static_cast<volatile std::uint32_t*>(
                  ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, off_t{6} << 40));
              CHECK_OR_FAIL(at != MAP_FAILED && *at == 0x06060606);
              ::close(device);
              // The end of a file is told behind its close().
              for (int attempt = 0; attempt < 5000; ++attempt) {
                CHECK_OR_FAIL(*at == 0x06060606);
                ::usleep(1000);
              }
              return 0;
            }),
            1000 + SIGBUS);
}

TEST_P(Supervised, a_stopped_program_stops_and_goes_on_while_it_is_traced) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!come_under_supervision()) ::_exit(1);
    const int device = ::ioctl(open_group(), plain_give, "a-device");
    auto* at = static_cast<volatile std::uint32_t*>(
        ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, device, off_t{6} << 40));
    ::raise(SIGSTOP);
    ::_exit(at != MAP_FAILED && *at == 0x06060606 ? 5 : 6);
  }
  // (waitpid() would take the stop from a tracer in this process.) Stops for a tracer alone are shorter.
  for (int attempt = 0, seen = 0; attempt < 5000 && seen < 50; ++attempt) {
    ::usleep(1000);
    const char state = state_of(child);
    seen = state == 'T' || state == 't' ? seen + 1 : 0;
  }
  EXPECT_TRUE(state_of(child) == 'T' || state_of(child) == 't') << state_of(child);
  ::kill(child, SIGCONT);
  const int status = wait_for_end(child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 5);
}

INSTANTIATE_TEST_SUITE_P(, Supervised, testing::Values(TracedBy::supervisor, TracedBy::daemon),
                         [](const auto& by) {
                           return by.param == TracedBy::daemon ? "traced_by_the_daemon"
                                                               : "traced_by_the_supervisor";
                         });

}  // namespace
}  // namespace umdev::test
