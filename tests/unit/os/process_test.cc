#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "tests/support/test_host.h"
#include "tests/unit/os/fixtures.h"
#include "umdev/os/notify.h"
#include "umdev/os/process_limits.h"
#include "umdev/os/random_uuid.h"
#include "umdev/os/signal_fd.h"
#include "umdev/os/system_host.h"

namespace umdev::os {
namespace {

TEST(ProcessLimits, raises_the_soft_limit_of_descriptors_to_the_hard_one) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = 256, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST(ProcessLimits, knows_how_many_mappings_there_may_be) {
  EXPECT_GE(mapping_limit(), 1000U);
}

bool is_blocked(int signal) {
  sigset_t set;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &set);
  return sigismember(&set, signal) == 1;
}

TEST(SignalFd, catches_its_signals_one_by_one) {
  const auto signals = SignalFd::create({SIGUSR1, SIGUSR2});
  ASSERT_TRUE(signals);
  EXPECT_TRUE(is_close_on_exec(signals->get()));
  EXPECT_EQ(signals->take(), std::nullopt);
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  pollfd entry{.fd = signals->get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 1);
  EXPECT_EQ(signals->take(), SIGUSR1);
  EXPECT_EQ(signals->take(), SIGUSR2);
  EXPECT_EQ(signals->take(), std::nullopt);
}

TEST(SignalFd, unblocks_at_its_end_what_it_blocked) {
  ASSERT_FALSE(is_blocked(SIGUSR1));
  {
    const auto signals = SignalFd::create({SIGUSR1});
    ASSERT_TRUE(signals);
    EXPECT_TRUE(is_blocked(SIGUSR1));
  }
  EXPECT_FALSE(is_blocked(SIGUSR1));
}

TEST(SignalFd, what_is_no_signal_is_einval_and_blocks_nothing) {
  for (const int bad : {0, -1, 65, 1000})
    EXPECT_EQ(SignalFd::create({SIGUSR1, bad}).error().code, EINVAL) << bad;
  EXPECT_FALSE(is_blocked(SIGUSR1));
}

TEST(RandomUuid, is_of_version_4_and_never_the_same) {
  std::set<Uuid> seen;
  for (int round = 0; round < 1000; ++round) {
    const Uuid uuid = random_uuid();
    EXPECT_TRUE(seen.insert(uuid).second);
    EXPECT_EQ(uuid.bytes()[6] >> 4, 4);
    EXPECT_EQ(uuid.bytes()[8] >> 6, 2);
    EXPECT_EQ(Uuid::parse(uuid.to_string()), uuid);
  }
}

class Notify : public testing::Test {
 public:
  void TearDown() override { ::unsetenv("NOTIFY_SOCKET"); }
};

TEST_F(Notify, without_a_service_manager_nobody_is_told) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_EQ(notify_service_manager("READY=1"), false);
}

TEST_F(Notify, tells_the_service_manager) {
  const ScratchDirectory scratch;
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = scratch / "notify";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  EXPECT_EQ(notify_service_manager("READY=1"), true);
  std::array<char, 64> text{};
  EXPECT_EQ(::recv(manager.get(), text.data(), text.size(), 0), 7);
  EXPECT_STREQ(text.data(), "READY=1");
}

TEST_F(Notify, a_service_manager_that_is_gone_is_an_error) {
  const ScratchDirectory scratch;
  ::setenv("NOTIFY_SOCKET", (scratch / "nobody").c_str(), 1);
  EXPECT_EQ(notify_service_manager("READY=1").error().code, ENOENT);
}

TEST(SystemHost, lends_what_it_was_given) {
  test::ManualClock clock;
  test::QueueExecutor executor;
  test::RecordingLog log;
  SystemHost host(clock, executor, log);
  bool ran = false;
  host.post([&] { ran = true; });
  host.log().warning("careful");
  EXPECT_FALSE(ran);
  EXPECT_EQ(executor.run(), 1U);
  EXPECT_TRUE(ran);
  EXPECT_TRUE(log.contains("careful"));
  EXPECT_EQ(&host.clock(), &clock);
}

}  // namespace
}  // namespace umdev::os
