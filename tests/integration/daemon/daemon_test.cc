#include "apps/umdevd/daemon.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/test_host.h"
#include "umdev/control/client.h"
#include "umdev/control/paths.h"
#include "umdev/vfio_user/client.h"

namespace umdev::daemon {
namespace {

using Json = nlohmann::json;

class DaemonTest : public testing::Test {
 public:
  DaemonTest() {
    std::string pattern = testing::TempDir() + "umdev-daemon-XXXXXX";
    scratch = ::mkdtemp(pattern.data());
  }
  ~DaemonTest() override { std::filesystem::remove_all(scratch); }

  std::expected<std::unique_ptr<Daemon>, std::string> start(const std::string& name = "run") {
    DaemonOptions options{.runtime_directory = scratch + "/" + name, .config = default_config()};
    options.limits.force_deadline = std::chrono::milliseconds(200);
    return Daemon::start(options, log);
  }
  static control::Client connect(const Daemon& daemon) {
    return control::Client::connect(control::control_socket(daemon.runtime_directory())).value();
  }
  static std::string create(control::Client& client, const std::string& type = "null-1") {
    const auto answer =
        client.call("create", {{"parent", type.substr(0, type.find('-'))}, {"type", type}}).value();
    return answer.refusal ? "" : Json::parse(answer.result)["uuid"].get<std::string>();
  }
  // 0, or the errno.
  static int remove(control::Client& client, const std::string& uuid, const std::string& policy) {
    const auto answer = client.call("remove", {{"uuid", uuid}, {"policy", policy}}).value();
    return answer.refusal ? answer.refusal->error_number : 0;
  }
  static std::string socket_of(const Daemon& daemon, const std::string& uuid) {
    return daemon.runtime_directory() + "/vfio-user/" + uuid + ".sock";
  }

  test::RecordingLog log;
  std::string scratch;
};

TEST_F(DaemonTest, Two_worlds_live_side_by_side_in_one_process) {
  const auto first = start("a").value();
  const auto second = start("b").value();
  auto client = connect(*first);
  const auto uuid = create(client);
  EXPECT_TRUE(first->bus().find(Uuid::parse(uuid).value()));
  EXPECT_FALSE(second->bus().find(Uuid::parse(uuid).value()));
}

TEST_F(DaemonTest, A_directory_has_one_daemon) {
  auto first = start().value();
  const auto second = start();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("another umdevd"), std::string::npos) << second.error();
  first.reset();
  EXPECT_TRUE(start());
}

TEST_F(DaemonTest, The_socket_goes_with_an_instance_that_is_removed_through_the_tree) {
  const auto daemon = start().value();
  auto client = connect(*daemon);
  const auto uuid = create(client);
  EXPECT_TRUE(std::filesystem::exists(socket_of(*daemon, uuid)));
  std::atomic<bool> written = false;
  daemon->tree().write("/bus/mdev/devices/" + uuid + "/remove", "1\n",
                       Done<std::size_t>([&](Result<std::size_t>) { written = true; }));
  while (!written) std::this_thread::yield();
  EXPECT_FALSE(std::filesystem::exists(socket_of(*daemon, uuid)));
}

TEST_F(DaemonTest, An_instance_that_is_made_through_the_tree_has_a_socket) {
  const auto daemon = start().value();
  const std::string uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  std::atomic<bool> written = false;
  daemon->tree().write("/devices/virtual/null/null/mdev_supported_types/null-1/create", uuid,
                       Done<std::size_t>([&](Result<std::size_t> result) { written = result.has_value(); }));
  while (!written) std::this_thread::yield();
  EXPECT_TRUE(vfio_user::Client::connect(socket_of(*daemon, uuid)));
}

TEST_F(DaemonTest, Without_its_socket_an_instance_is_not_made) {
  const auto daemon = start().value();
  auto client = connect(*daemon);
  const std::string uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  std::ofstream(socket_of(*daemon, uuid)) << "in the way";
  const auto answer = client.call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid}}).value();
  ASSERT_TRUE(answer.refusal);
  EXPECT_EQ(answer.refusal->error_number, EADDRINUSE);
  EXPECT_FALSE(daemon->bus().find(Uuid::parse(uuid).value()));
  std::filesystem::remove(socket_of(*daemon, uuid));
  EXPECT_FALSE(
      client.call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid}}).value().refusal);
}

TEST_F(DaemonTest, A_busy_removal_is_refused_and_the_socket_stays) {
  const auto daemon = start().value();
  auto client = connect(*daemon);
  const auto uuid = create(client);
  {
    auto user = vfio_user::Client::connect(socket_of(*daemon, uuid)).value();
    ASSERT_TRUE(user.negotiate());
    EXPECT_EQ(remove(client, uuid, "busy"), EBUSY);
    EXPECT_TRUE(std::filesystem::exists(socket_of(*daemon, uuid)));
    EXPECT_TRUE(user.device_info());
  }
  int result = EBUSY;  // until the session's end has been seen
  while (result == EBUSY) result = remove(client, uuid, "busy");
  EXPECT_EQ(result, 0);
  EXPECT_FALSE(std::filesystem::exists(socket_of(*daemon, uuid)));
}

TEST_F(DaemonTest, A_forced_removal_ends_a_client_that_never_spoke) {
  const auto daemon = start().value();
  auto client = connect(*daemon);
  const auto uuid = create(client);
  auto silent = vfio_user::Client::connect(socket_of(*daemon, uuid)).value();
  EXPECT_EQ(remove(client, uuid, "force"), 0);
  EXPECT_FALSE(silent.channel().receive());
}

TEST_F(DaemonTest, It_ends_while_instances_are_used_and_removed) {
  auto daemon = start().value();
  auto client = connect(*daemon);
  const auto uuid = create(client, "mtty-2");
  auto user = vfio_user::Client::connect(socket_of(*daemon, uuid)).value();
  ASSERT_TRUE(user.negotiate());
  ASSERT_TRUE(client.begin("remove", {{"uuid", uuid}}));
  while (daemon->bus().state(Uuid::parse(uuid).value()) != mdev::InstanceState::removing)
    std::this_thread::yield();
  EXPECT_TRUE(daemon->stop());
  EXPECT_FALSE(user.device_info());
  EXPECT_FALSE(client.finish());
}

TEST_F(DaemonTest, Many_clients_create_use_and_remove_at_once) {
  const auto daemon = start().value();
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; ++number)
    threads.emplace_back([&, number] {
      auto client = connect(*daemon);
      for (int round = 0; round < 15; ++round) {
        const auto uuid = create(client, number % 2 == 0 ? "mtty-1" : "null-1");
        ASSERT_FALSE(uuid.empty());
        auto user = vfio_user::Client::connect(socket_of(*daemon, uuid)).value();
        EXPECT_TRUE(user.negotiate());
        EXPECT_TRUE(client.call("list"));
        EXPECT_TRUE(client.call("status"));
        EXPECT_EQ(remove(client, uuid, "force"), 0);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(daemon->bus().instances().empty());
  EXPECT_EQ(daemon->core().status().devices, 0U);
}

TEST(Budget, Half_of_the_descriptors_are_for_instances) {
  DaemonOptions options;
  budget(options, 256 + 4000, 65530);
  EXPECT_EQ(options.limits.instances, 2000U);
  EXPECT_EQ(options.vfio_user_limits.file_mappings, 16382U);
}

TEST(Budget, Never_exceeds_the_limits_that_were_given) {
  DaemonOptions options;
  const auto before = options;
  budget(options, 1ULL << 40, 1ULL << 40);
  EXPECT_EQ(options.limits.instances, before.limits.instances);
  EXPECT_EQ(options.vfio_user_limits.file_mappings, before.vfio_user_limits.file_mappings);
}

TEST(Budget, Almost_no_descriptors_are_no_instances) {
  DaemonOptions options;
  budget(options, 100, 65530);
  EXPECT_EQ(options.limits.instances, 0U);
}

}  // namespace
}  // namespace umdev::daemon
