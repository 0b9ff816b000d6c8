// Watchers of a whole daemon: many of them, most of which never read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/umdevd/daemon.h"
#include "tests/support/test_host.h"
#include "umdev/control/client.h"
#include "umdev/control/paths.h"
#include "umdev/support/sanitizers.h"

namespace umdev::daemon {
namespace {

using Json = nlohmann::json;

class WatchDaemon : public testing::Test {
 public:
  WatchDaemon() {
    std::string pattern = testing::TempDir() + "umdev-watch-XXXXXX";
    scratch = ::mkdtemp(pattern.data());
    daemon = Daemon::start({.runtime_directory = scratch + "/run", .config = default_config()}, log).value();
  }
  ~WatchDaemon() override {
    daemon.reset();
    std::filesystem::remove_all(scratch);
  }
  control::Client connect() const {
    return control::Client::connect(control::control_socket(daemon->runtime_directory())).value();
  }
  control::Client watch() const {
    auto client = connect();
    EXPECT_FALSE(client.call("watch").value().refusal);
    return client;
  }
  static Json next(control::Client& client) {
    const auto notification = client.next_notification(std::chrono::minutes(1)).value();
    return notification ? Json::parse(notification->parameters) : Json();
  }
  static std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }

  test::RecordingLog log;
  std::string scratch;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(WatchDaemon, A_life_is_told_in_the_kernels_order) {
  auto watcher = watch();
  auto client = connect();
  const auto made = client.call("create", {{"parent", "mtty"}, {"type", "mtty-1"}}).value();
  const std::string uuid = Json::parse(made.result)["uuid"];
  EXPECT_TRUE(client.call("remove", {{"uuid", uuid}}));
  const std::vector<std::pair<std::string, std::string>> expected{
      {"add", "mdev"},        {"add", "vfio"},    {"add", "vfio-dev"}, {"bind", "mdev"},
      {"remove", "vfio-dev"}, {"remove", "vfio"}, {"unbind", "mdev"},  {"remove", "mdev"}};
  for (const auto& [event, subsystem] : expected) {
    const Json told = next(watcher);
    EXPECT_EQ(told["event"], event);
    EXPECT_EQ(told["subsystem"], subsystem);
  }
}

// What keeps 99 of 100 watchers, for whom nobody reads, from costing more than their queues.
TEST_F(WatchDaemon, A_hundred_watchers_of_which_one_reads_hold_up_nobody) {
  constexpr int rounds = 250;
  constexpr int makers = 4;
  constexpr std::uint64_t events = 8ULL * rounds * makers;
  std::vector<control::Client> silent;
  for (int count = 0; count < 99; ++count) silent.push_back(watch());
  auto reading = watch();
  const std::size_t before = resident_bytes();

  std::vector<std::thread> threads;
  for (int number = 0; number < makers; ++number)
    threads.emplace_back([this] {
      auto client = connect();
      for (int round = 0; round < rounds; ++round) {
        const auto made = client.call("create", {{"parent", "null"}, {"type", "null-1"}}).value();
        ASSERT_FALSE(made.refusal);
        const std::string uuid = Json::parse(made.result)["uuid"];
        EXPECT_FALSE(client.call("remove", {{"uuid", uuid}}).value().refusal);
      }
    });
  std::uint64_t seen = 0;
  std::uint64_t lost = 0;
  while (seen + lost < events) {
    const Json event = next(reading);
    ASSERT_TRUE(event.is_object()) << seen << " seen, " << lost << " lost";
    event["event"] == "lost" ? lost += event["count"].get<std::uint64_t>() : ++seen;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen + lost, events);
  EXPECT_TRUE(daemon->bus().instances().empty());
  constexpr std::size_t bound = 64U << 20;  // what 99 queues hold at most, shared, and as much again
  if (!has_own_heap) {
    EXPECT_LT(resident_bytes(), before + bound);
  }
  silent.clear();
  EXPECT_TRUE(connect().call("list"));
}

}  // namespace
}  // namespace umdev::daemon
