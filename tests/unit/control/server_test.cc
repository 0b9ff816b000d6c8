#include "umdev/control/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tests/support/test_host.h"
#include "umdev/control/client.h"
#include "umdev/os/memfd.h"
#include "umdev/os/thread_pool.h"
#include "umdev/os/unix_socket.h"
#include "umdev/support/mutex.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;

constexpr std::array<Parameter, 1> text_parameter{Parameter{.name = "text", .required = false}};
constexpr std::array<Method, 5> table{
    Method{.name = "echo", .parameters = text_parameter}, Method{.name = "wait", .parameters = {}},
    Method{.name = "release", .parameters = {}}, Method{.name = "large", .parameters = {}},
    Method{.name = "swap", .parameters = {}}};

// What a server is tested with: calls complete on another thread, "wait" ones when "release" is called.
// "swap" answers with the descriptors that it was called with, in the opposite order.
class WaitingMethods final : public Methods {
 public:
  WaitingMethods() : pool_(os::ThreadPool::create("test").value()) {}

  std::span<const Method> table() const override { return control::table; }
  void call(std::size_t index, Arguments arguments, const Caller& caller, Done<std::string> done) override {
    struct Call {
      Arguments arguments;
      Done<std::string> done;
      std::shared_ptr<Attachment> attachment;
    };
    if (index == 1) {
      Lock lock(mutex_);
      waiting_.push_back(std::move(done));
      return;
    }
    auto shared = std::make_shared<Call>(Call{std::move(arguments), std::move(done), caller.attachment});
    pool_->post([this, index, shared, uid = caller.uid] {
      if (index == 2) release();
      if (index == 4) return swap(shared->attachment.get(), std::move(shared->done));
      if (index == 3) return shared->done('"' + std::string(1 << 20, 'x') + '"');
      shared->done(Json{{"text", std::string(shared->arguments.at("text"))}, {"uid", uid}}.dump());
    });
  }

  std::size_t waiting() const {
    Lock lock(mutex_);
    return waiting_.size();
  }

 private:
  static void swap(Attachment* attachment, Done<std::string> done) {
    if (attachment == nullptr) return done(fail(EINVAL, "no descriptors can be passed"));
    attachment->answer = std::move(attachment->received);
    std::ranges::reverse(attachment->answer);
    done(Json{{"descriptors", attachment->answer.size()}}.dump());
  }
  void release() {
    std::vector<Done<std::string>> all;
    {
      Lock lock(mutex_);
      all.swap(waiting_);
    }
    for (auto& done : all) done("\"released\"");
  }

  mutable Mutex mutex_;
  std::vector<Done<std::string>> waiting_ UMDEV_GUARDED_BY(mutex_);
  std::unique_ptr<os::ThreadPool> pool_;
};

class ControlServer : public testing::Test {
 public:
  ControlServer() {
    std::string pattern = testing::TempDir() + "umdev-control-XXXXXX";
    directory = ::mkdtemp(pattern.data());
  }
  ~ControlServer() override {
    server.reset();
    std::filesystem::remove_all(directory);
  }
  void start(Limits limits = {}) {
    dispatcher = std::make_unique<Dispatcher>(methods, limits);
    server = Server::start({.path = path(), .dispatcher = dispatcher.get(), .log = &log}).value();
  }
  std::string path() const { return directory + "/control.sock"; }
  Client connect() { return Client::connect(path()).value(); }
  os::UniqueFd connect_raw() { return os::connect_to(path()).value(); }

  static std::string request(int id, std::string_view method) {
    return Json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}}.dump() + "\n";
  }
  static void send_all(int socket, std::string_view text) {
    while (!text.empty()) {
      const auto count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
      ASSERT_GT(count, 0);
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  // The next line, or nothing at the end of the stream or after ten seconds.
  static std::optional<std::string> read_line(int socket) {
    std::string line;
    std::array<char, 65536> bytes;
    while (wait_readable(socket)) {
      const auto seen = ::recv(socket, bytes.data(), bytes.size(), MSG_PEEK);
      if (seen <= 0) break;
      const std::string_view text(bytes.data(), static_cast<std::size_t>(seen));
      const std::size_t newline = text.find('\n');
      const std::size_t taken = newline == std::string_view::npos ? text.size() : newline + 1;
      line += text.substr(0, taken);
      EXPECT_EQ(::recv(socket, bytes.data(), taken, 0), static_cast<ssize_t>(taken));
      if (newline != std::string_view::npos) return line;
    }
    return std::nullopt;
  }
  static bool wait_readable(int socket) {
    pollfd descriptor{.fd = socket, .events = POLLIN, .revents = 0};
    return ::poll(&descriptor, 1, 10'000) == 1;
  }
  static bool at_end(int socket) {
    char letter;
    return wait_readable(socket) && ::recv(socket, &letter, 1, 0) <= 0;
  }

  test::RecordingLog log;
  WaitingMethods methods;
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<Server> server;
  std::string directory;
};

TEST_F(ControlServer, Answers_a_call_and_knows_who_called) {
  start();
  const auto answer = connect().call("echo", {{"text", "hello"}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(Json::parse(answer->result), Json({{"text", "hello"}, {"uid", ::getuid()}}));
}

TEST_F(ControlServer, An_error_reaches_the_client_with_its_errno) {
  start();
  const auto answer = connect().call("nothing");
  ASSERT_TRUE(answer && answer->refusal);
  EXPECT_EQ(answer->refusal->code, code_method_not_found);
  EXPECT_EQ(answer->refusal->error_number, ENOSYS);
}

TEST_F(ControlServer, A_call_that_waits_does_not_hold_up_the_others_of_its_connection) {
  start();
  const auto socket = connect_raw();
  send_all(socket.get(), request(1, "wait") + request(2, "echo"));
  EXPECT_EQ(Json::parse(read_line(socket.get()).value())["id"], 2);
  send_all(socket.get(), request(3, "release"));
  EXPECT_EQ(Json::parse(read_line(socket.get()).value())["id"], 1);
  EXPECT_EQ(Json::parse(read_line(socket.get()).value())["id"], 3);
}

TEST_F(ControlServer, Requests_may_be_pipelined_beyond_the_limit_of_pending_ones) {
  start({.pending = 4});
  const auto socket = connect_raw();
  std::string many;
  for (int id = 0; id < 200; ++id) many += request(id, "echo");
  send_all(socket.get(), many);
  std::set<int> answered;
  for (int count = 0; count < 200; ++count)
    answered.insert(Json::parse(read_line(socket.get()).value())["id"].get<int>());
  EXPECT_EQ(answered.size(), 200U);
}

TEST_F(ControlServer, Above_the_limit_of_pending_calls_it_reads_no_more) {
  start({.pending = 2});
  const auto socket = connect_raw();
  send_all(socket.get(), request(1, "wait") + request(2, "wait") + request(3, "echo"));
  pollfd descriptor{.fd = socket.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&descriptor, 1, 100), 0);
  EXPECT_EQ(methods.waiting(), 2U);
  EXPECT_TRUE(connect().call("release"));
  for (int count = 0; count < 3; ++count) EXPECT_TRUE(read_line(socket.get()));
}

TEST_F(ControlServer, What_was_held_back_is_handled_once_its_answers_have_room) {
  start({.pending = 1, .output_high_water = 1});
  const auto socket = connect_raw();
  send_all(socket.get(), request(1, "echo") + request(2, "echo") + request(3, "echo"));
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(Json::parse(read_line(socket.get()).value())["id"], id);
}

TEST_F(ControlServer, A_message_may_come_byte_by_byte) {
  start();
  const auto socket = connect_raw();
  for (const char letter : request(1, "echo")) send_all(socket.get(), {&letter, 1});
  EXPECT_TRUE(read_line(socket.get()));
}

TEST_F(ControlServer, What_follows_a_message_that_is_no_JSON_is_served) {
  start();
  const auto socket = connect_raw();
  send_all(socket.get(), "hello\n" + request(1, "echo"));
  EXPECT_EQ(Json::parse(read_line(socket.get()).value())["error"]["code"], code_parse_error);
  EXPECT_EQ(Json::parse(read_line(socket.get()).value())["id"], 1);
}

TEST_F(ControlServer, A_message_above_the_limit_is_refused_and_ends_the_connection) {
  start({.message = 100});
  for (const char* end : {"", "\n"}) {
    const auto socket = connect_raw();
    send_all(socket.get(), std::string(101, 'x') + end);
    const auto error = Json::parse(read_line(socket.get()).value())["error"];
    EXPECT_EQ(error["data"]["errno"], EMSGSIZE);
    EXPECT_TRUE(at_end(socket.get()));
  }
}

TEST_F(ControlServer, Who_stops_sending_still_gets_the_answers) {
  start();
  const auto socket = connect_raw();
  send_all(socket.get(), request(1, "wait"));
  ::shutdown(socket.get(), SHUT_WR);
  while (methods.waiting() == 0) std::this_thread::yield();
  EXPECT_TRUE(connect().call("release"));
  EXPECT_TRUE(read_line(socket.get()));
  EXPECT_TRUE(at_end(socket.get()));
}

TEST_F(ControlServer, A_client_that_does_not_read_holds_up_nobody) {
  start({.pending = 8, .output_high_water = 1 << 16});
  const auto silent = connect_raw();
  std::string many;
  for (int id = 0; id < 64; ++id) many += request(id, "large");
  send_all(silent.get(), many);
  for (int count = 0; count < 20; ++count) EXPECT_TRUE(connect().call("echo"));
  for (int count = 0; count < 64; ++count) ASSERT_TRUE(read_line(silent.get()));
}

TEST_F(ControlServer, A_client_may_die_while_its_call_waits) {
  start();
  {
    const auto socket = connect_raw();
    send_all(socket.get(), request(1, "wait"));
    while (methods.waiting() == 0) std::this_thread::yield();
  }
  EXPECT_TRUE(connect().call("release"));
  EXPECT_TRUE(connect().call("echo"));
}

TEST_F(ControlServer, Connections_above_the_limit_are_told_so) {
  start({.connections = 2});
  auto first = connect();
  auto second = connect();
  EXPECT_TRUE(first.call("echo"));
  EXPECT_TRUE(second.call("echo"));
  const auto third = connect_raw();
  EXPECT_EQ(Json::parse(read_line(third.get()).value())["error"]["data"]["name"], "EUSERS");
  EXPECT_TRUE(at_end(third.get()));
}

TEST_F(ControlServer, Descriptors_that_nobody_asked_for_are_closed) {
  start();
  const auto socket = connect_raw();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const std::string text = request(1, "echo");
  const int write_end = pipe[1];
  ASSERT_TRUE(os::send(socket.get(), std::as_bytes(std::span(text)), std::span(&write_end, 1)));
  ::close(pipe[1]);
  EXPECT_TRUE(read_line(socket.get()));
  char letter;
  ASSERT_TRUE(wait_readable(pipe[0]));
  EXPECT_EQ(::read(pipe[0], &letter, 1), 0);
  ::close(pipe[0]);
}

TEST_F(ControlServer, Its_end_closes_connections_and_removes_the_path) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.begin("wait"));
  while (methods.waiting() == 0) std::this_thread::yield();
  server.reset();
  EXPECT_EQ(client.finish().error().code, ECONNRESET);
  EXPECT_FALSE(std::filesystem::exists(path()));
  // The call ends after its server did.
}

TEST_F(ControlServer, A_path_that_is_in_use_is_refused) {
  start();
  const auto second = Server::start({.path = path(), .dispatcher = dispatcher.get(), .log = &log});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
}

// --- Descriptors.

// What somebody wrote into a memory file, to know it again.
os::UniqueFd file_saying(char text) {
  os::UniqueFd file = os::create_memfd("text", 1).value();
  EXPECT_EQ(::pwrite(file.get(), &text, 1, 0), 1);
  return file;
}
char said_by(const os::UniqueFd& file) {
  char text = 0;
  EXPECT_EQ(::pread(file.get(), &text, 1, 0), 1);
  return text;
}

TEST_F(ControlServer, descriptors_go_with_a_call_and_with_its_answer) {
  start();
  Client client = connect();
  for (int round = 0; round < 3; ++round) {
    const os::UniqueFd a = file_saying('a');
    const os::UniqueFd b = file_saying('b');
    const std::array fds{a.get(), b.get()};
    const Answer answer = client.call("swap", {}, {}, fds).value();
    ASSERT_EQ(answer.descriptors.size(), 2U) << answer.result;
    EXPECT_EQ(said_by(answer.descriptors[0]), 'b');
    EXPECT_EQ(said_by(answer.descriptors[1]), 'a');
    EXPECT_TRUE(client.call("echo", {{"text", "without"}}).value().descriptors.empty());
  }
}

TEST_F(ControlServer, as_many_descriptors_as_one_message_carries_go_and_no_more) {
  start();
  Client client = connect();
  const os::UniqueFd file = file_saying('a');
  const std::vector<int> most(os::max_fds_per_message, file.get());
  EXPECT_EQ(client.call("swap", {}, {}, most).value().descriptors.size(), most.size());
  const std::vector<int> more(os::max_fds_per_message + 1, file.get());
  EXPECT_EQ(client.call("swap", {}, {}, more).error().code, EINVAL);
}

TEST_F(ControlServer, descriptors_that_nobody_wants_are_closed) {
  start();
  Client client = connect();
  auto [ours, theirs] = os::make_socket_pair().value();
  const std::array fds{theirs.get()};
  ASSERT_FALSE(client.call("echo", {{"text", "x"}}, {}, fds).value().refusal);
  theirs.reset();
  pollfd gone{.fd = ours.get(), .events = 0, .revents = 0};
  ASSERT_EQ(::poll(&gone, 1, 20000), 1);
  EXPECT_NE(gone.revents & POLLHUP, 0);
}

TEST_F(ControlServer, descriptors_belong_to_the_message_that_begins_with_them) {
  start();
  const os::UniqueFd socket = connect_raw();
  const os::UniqueFd file = file_saying('a');
  const auto send = [&](std::string_view text, bool with_file) {
    const int fd = file.get();
    ASSERT_EQ(os::send(socket.get(), std::as_bytes(std::span(text)), {&fd, with_file ? 1U : 0U}).value(),
              text.size());
  };
  // A batch has none.
  send(R"({"jsonrpc":"2.0","id":1,"method":"swap"})"
       "\n",
       false);
  send(R"([{"jsonrpc":"2.0","id":2,"method":"swap"}])"
       "\n",
       true);
  send(R"({"jsonrpc":"2.0","id":3,"method":"swap"})"
       "\n",
       true);
  send(R"({"jsonrpc":"2.0","id":4,"method":"swap"})"
       "\n",
       false);
  std::map<int, std::string> answers;
  std::string text;
  while (answers.size() < 4) {
    pollfd readable{.fd = socket.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, 20000), 1);
    std::array<std::byte, 4096> bytes;
    os::FdBatch fds;
    const std::size_t count = os::receive(socket.get(), bytes, fds).value();
    text.append(reinterpret_cast<const char*>(bytes.data()), count);
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      Json answer = Json::parse(text.substr(0, end));
      text.erase(0, end + 1);
      if (answer.is_array()) answer = answer[0];
      answers[answer["id"]] = answer.contains("error") ? "refused" : answer["result"]["descriptors"].dump();
    }
  }
  EXPECT_EQ(answers, (std::map<int, std::string>{{1, "0"}, {2, "refused"}, {3, "1"}, {4, "0"}}));
}

}  // namespace
}  // namespace umdev::control
