// Watching, over a socket: answers and notifications of one connection, and clients that do not read them.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/test_host.h"
#include "umdev/control/client.h"
#include "umdev/control/news.h"
#include "umdev/control/server.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;

constexpr std::array<Method, 2> table{Method{.name = "watch", .parameters = {}},
                                      Method{.name = "echo", .parameters = {}}};

class WatchMethods final : public Methods {
 public:
  explicit WatchMethods(News& news) : news_(news) {}
  std::span<const Method> table() const override { return control::table; }
  void call(std::size_t index, Arguments, const Caller& caller, Done<std::string> done) override {
    if (index == 1) return done(std::string("1"));
    if (auto listens = caller.listener->listen(news_); !listens)
      return done(std::unexpected(listens.error()));
    // What comes before the answer was begun is kept, and comes behind it.
    news_.tell("early", Uuid(), "", "");
    done(std::string("{}"));
    caller.listener->begin();
  }

 private:
  News& news_;
};

constexpr Limits small{.output_high_water = 1 << 16,
                       .connections = 200,
                       .watch_queue = 32,
                       .watch_output = 4096,
                       .watch_turn = 7};

class Watching : public testing::Test {
 public:
  Watching() {
    std::string pattern = testing::TempDir() + "umdev-watch-XXXXXX";
    directory = ::mkdtemp(pattern.data());
    server = Server::start({.path = path(), .dispatcher = &dispatcher, .log = &log}).value();
  }
  ~Watching() override {
    server.reset();
    std::filesystem::remove_all(directory);
  }
  std::string path() const { return directory + "/control.sock"; }
  Client connect() { return Client::connect(path()).value(); }
  Client watch() {
    Client client = connect();
    EXPECT_FALSE(client.call("watch").value().refusal);
    EXPECT_EQ(next(client)["event"], "early");
    return client;
  }
  // The parameters of the next notification; null after a minute.
  static Json next(Client& client) {
    const auto notification = client.next_notification(std::chrono::minutes(1)).value();
    if (!notification) return nullptr;
    EXPECT_EQ(notification->method, "event");
    return Json::parse(notification->parameters);
  }
  void emit(int count) {
    for (int number = 0; number < count; ++number)
      events.emit(device::make_uevent(device::Action::add, "/" + std::string(200, 'x'), "mdev"));
  }

  test::RecordingLog log;
  device::Events events;
  News news{events, small};
  WatchMethods methods{news};
  Dispatcher dispatcher{methods, small};
  std::unique_ptr<Server> server;
  std::string directory;
};

TEST_F(Watching, The_answer_comes_first_and_then_what_happens) {
  auto client = connect();
  EXPECT_EQ(client.call("watch").value().result, "{}");
  EXPECT_EQ(next(client)["event"], "early");
  emit(1);
  EXPECT_EQ(next(client)["event"], "add");
}

TEST_F(Watching, A_connection_watches_once_and_is_still_answered) {
  auto client = watch();
  const auto again = client.call("watch").value();
  ASSERT_TRUE(again.refusal);
  EXPECT_EQ(again.refusal->error_number, EBUSY);
  EXPECT_EQ(client.call("echo").value().result, "1");
}

TEST_F(Watching, The_end_of_a_connection_is_the_end_of_its_watch) {
  {
    const auto client = watch();
    EXPECT_EQ(news.watchers(), 1U);
  }
  while (news.watchers() != 0) std::this_thread::yield();
  EXPECT_TRUE(watch().call("echo"));
}

TEST_F(Watching, Who_only_stops_sending_still_watches) {
  auto client = watch();
  ::shutdown(client.socket(), SHUT_WR);
  emit(1);
  EXPECT_EQ(next(client)["event"], "add");
}

TEST_F(Watching, A_client_that_does_not_read_loses_is_told_and_holds_up_nobody) {
  constexpr int count = 20'000;
  auto silent = watch();
  emit(count);
  EXPECT_TRUE(connect().call("echo"));
  std::uint64_t seen = 0;
  std::uint64_t lost = 0;
  while (seen + lost < count) {
    const Json event = next(silent);
    ASSERT_TRUE(event.is_object());
    event["event"] == "lost" ? lost += event["count"].get<std::uint64_t>() : ++seen;
  }
  EXPECT_EQ(seen + lost, count);
  EXPECT_GT(lost, 0U);
}

TEST_F(Watching, A_client_that_reads_slowly_gets_all_that_it_was_not_told_to_have_lost) {
  constexpr std::uint64_t count = 5'000;
  auto slow = watch();
  std::thread emitter([&] {
    for (std::uint64_t number = 0; number < count; number += 10) {
      emit(10);
      std::this_thread::yield();
    }
  });
  std::uint64_t last = 0;
  while (last < count) {
    const Json event = next(slow);
    ASSERT_TRUE(event.is_object());
    if (event["event"] == "lost") {
      last += event["count"].get<std::uint64_t>();
    } else {
      EXPECT_EQ(event["seqnum"], ++last);
    }
  }
  emitter.join();
}

TEST_F(Watching, Many_that_do_not_read_leave_one_that_does_alone) {
  std::vector<Client> silent;
  for (int count = 0; count < 99; ++count) silent.push_back(connect());
  for (Client& client : silent) EXPECT_FALSE(client.call("watch").value().refusal);
  auto reading = connect();
  EXPECT_FALSE(reading.call("watch").value().refusal);
  EXPECT_EQ(next(reading)["event"], "early");
  for (std::uint64_t number = 1; number <= 500; ++number) {
    emit(1);
    EXPECT_EQ(next(reading)["seqnum"], number);
  }
}

TEST_F(Watching, The_end_of_the_server_is_seen) {
  auto client = watch();
  server.reset();
  EXPECT_EQ(client.next_notification().error().code, ECONNRESET);
  emit(1);
}

}  // namespace
}  // namespace umdev::control
