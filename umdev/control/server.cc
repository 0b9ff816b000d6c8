#include "umdev/control/server.h"

#include <sys/epoll.h>

#include <thread>
#include <unordered_map>

#include "umdev/control/connection.h"
#include "umdev/os/thread.h"
#include "umdev/os/unix_socket.h"

namespace umdev::control {

class Server::State final : public ConnectionOwner {
 public:
  State(Config config, std::unique_ptr<os::EventLoop> loop, os::UnixListener listener)
      : config_(std::move(config)),
        loop_(std::move(loop)),
        outlet_(std::make_shared<Outlet>(*loop_)),
        listener_(std::move(listener)) {}
  ~State() override;

  Result<> start();

  // ^ConnectionOwner
  void connection_ended(Connection& connection) override { connections_.erase(&connection); }

 private:
  const Limits& limits() const { return config_.dispatcher->limits(); }
  void accept_waiting();
  void adopt(os::UniqueFd socket);
  void pause();

  const Config config_;
  const std::unique_ptr<os::EventLoop> loop_;
  const std::shared_ptr<Outlet> outlet_;
  std::thread thread_;

  // The loop's thread only.
  os::UnixListener listener_;
  os::Watch watch_;
  Timer resume_timer_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
};

Result<> Server::State::start() {
  watch_ = UMDEV_TRY(loop_->watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_waiting(); }));
  thread_ = UMDEV_TRY(os::start_thread("umdev-control", [this] { loop_->run(); }));
  return {};
}

Server::State::~State() {
  if (thread_.joinable()) {
    loop_->stop();
    thread_.join();
  }
  // The loop does not run any more: what is its thread's is ours.
  outlet_->close();
  while (!connections_.empty()) connections_.begin()->second->end();
  resume_timer_.cancel();
  watch_.cancel();
  loop_->discard_pending();
}

void Server::State::accept_waiting() {
  for (;;) {
    auto socket = listener_.accept();
    if (!socket) {
      if (socket.error().code == EMFILE || socket.error().code == ENFILE) pause();
      return;
    }
    adopt(std::move(*socket));
  }
}

void Server::State::adopt(os::UniqueFd socket) {
  if (connections_.size() >= limits().connections) {
    const std::string text =
        make_refusal(code_failed, "too many connections", EUSERS, "too many connections; try again") + '\n';
    // A new socket has room for it, unless its client is gone already.
    [[maybe_unused]] const auto sent = os::send(socket.get(), std::as_bytes(std::span(text)));
    return;
  }
  const auto peer = os::peer_credentials(socket.get());
  if (!peer) return;
  const Caller caller{.uid = peer->uid, .gid = peer->gid, .pid = peer->pid};
  const auto connection = std::make_shared<Connection>(
      std::move(socket), caller,
      Connection::World{
          .loop = loop_.get(), .outlet = outlet_, .dispatcher = config_.dispatcher, .owner = this});
  if (auto started = connection->start(); !started) {
    config_.log->warning("control: a connection could not be served for want of resources");
    return;
  }
  connections_.emplace(connection.get(), connection);
}

// The client keeps waiting, and with it the listener stays readable: so nobody looks at it for a while.
void Server::State::pause() {
  config_.log->warning("control: no descriptor is left for a new connection");
  watch_.set_events(0);
  resume_timer_ = loop_->after(limits().accept_pause, [this] { watch_.set_events(EPOLLIN); });
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

namespace {

Result<os::UnixListener> make_listener(const Server::Config& config) {
  if (config.handed_socket < 0) return os::listen_at(config.path, config.file);
  return os::adopt_listener(UMDEV_TRY(os::duplicate(config.handed_socket)));
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Config& config) {
  auto loop = UMDEV_TRY(os::EventLoop::create());
  auto listener = UMDEV_TRY(make_listener(config));
  auto state = std::make_unique<State>(config, std::move(loop), std::move(listener));
  UMDEV_TRY(state->start());
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

}  // namespace umdev::control
