#include "umdev/vfio_user/endpoint.h"

#include <sys/epoll.h>

#include <utility>

#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {

ServerState::ServerState(const Server::Config& server)
    : config(server),
      budget(std::make_shared<iommu::MappingBudget>(server.limits.file_mappings, server.limits.mapped_bytes)),
      counters(server.workers->size()) {}

Counters& ServerState::counters_of(const os::EventLoop& loop) {
  std::size_t index = 0;
  while (index + 1 < counters.size() && &config.workers->at(index) != &loop) ++index;
  return counters[index];
}

// Holds a place among the endpoint's connections, also when its work is thrown away unrun.
class Endpoint::Arrival {
 public:
  Arrival(std::shared_ptr<Endpoint> endpoint, os::UniqueFd socket)
      : endpoint_(std::move(endpoint)), socket_(std::move(socket)) {}
  Arrival(Arrival&&) noexcept = default;
  Arrival& operator=(Arrival&&) = delete;
  ~Arrival() {
    if (endpoint_) endpoint_->give_place_back();
  }
  void operator()(os::EventLoop& loop) { std::exchange(endpoint_, nullptr)->serve(std::move(socket_), loop); }

 private:
  std::shared_ptr<Endpoint> endpoint_;
  os::UniqueFd socket_;
};

Endpoint::Endpoint(std::shared_ptr<ServerState> server, EndpointConfig config, os::UnixListener listener)
    : server_(std::move(server)),
      config_(std::move(config)),
      loop_(server_->config.workers->next()),
      listener_(std::move(listener)) {}

Endpoint::~Endpoint() = default;

// --- Listening.

void Endpoint::start() {
  loop_.post([self = shared_from_this()] { self->begin_listening(); });
}

void Endpoint::begin_listening() {
  if (!listener_) return;
  auto watch = loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { client_waits(); });
  if (watch) {
    watch_ = std::move(*watch);
    return;
  }
  server_->config.log->error("vfio-user: cannot watch the socket " + config_.path);
  stop_listening();
}

void Endpoint::stop_listening() {
  resume_timer_.cancel();
  watch_.cancel();
  listener_.close();
  {
    Lock lock(mutex_);
    listening_ = false;
  }
  complete_if_over();
}

void Endpoint::client_waits() {
  const auto self = shared_from_this();
  auto socket = listener_.accept();
  if (!socket) {
    if (socket.error().code != EAGAIN && socket.error().code != ECONNABORTED) wait_for_descriptors();
    return;
  }
  if (!take_place()) {
    server_->counters_of(loop_).connections_refused.add();
    return;
  }
  send_to_a_loop(std::move(*socket));
}

void Endpoint::take_client(os::UniqueFd socket) {
  if (take_place()) send_to_a_loop(std::move(socket));
}

void Endpoint::send_to_a_loop(os::UniqueFd socket) {
  os::EventLoop& loop = server_->config.workers->next();
  loop.post([arrival = Arrival(shared_from_this(), std::move(socket)), &loop]() mutable { arrival(loop); });
}

// No descriptor is left: the client stays in the queue, where it makes the socket readable all the time.
void Endpoint::wait_for_descriptors() {
  watch_.set_events(0);
  resume_timer_ = loop_.after(std::chrono::milliseconds(100), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->watch_.set_events(EPOLLIN);
  });
}

// --- Connections.

bool Endpoint::take_place() {
  Lock lock(mutex_);
  if (closing_ || places_ >= server_->config.limits.sessions_per_endpoint) return false;
  ++places_;
  return true;
}

void Endpoint::give_place_back() {
  {
    Lock lock(mutex_);
    --places_;
  }
  complete_if_over();
}

// A new connection, that is known; null, and over, when none is wanted any more.
std::shared_ptr<Connection> Endpoint::connect(os::UniqueFd socket, os::EventLoop& loop) {
  Counters& counters = server_->counters_of(loop);
  const SessionWorld world{.core = server_->config.core,
                           .executor = &loop,
                           .clock = &loop,
                           .counters = &counters,
                           .limits = &server_->config.limits,
                           .budget = server_->budget,
                           .tap = TapLine::of(config_.tap, loop)};
  auto connection =
      std::make_shared<Connection>(std::move(socket), loop, world, config_.device, shared_from_this());
  counters.sessions_begun.add();
  {
    Lock lock(mutex_);
    if (!evicting_) {
      connections_.emplace(connection.get(), connection);
      return connection;
    }
  }
  connection->end("it could not be served");
  return nullptr;
}

void Endpoint::serve(os::UniqueFd socket, os::EventLoop& loop) {
  const auto connection = connect(std::move(socket), loop);
  if (!connection) return;
  if (!connection->start()) return connection->end("it could not be served");
  bool paused = false;
  {
    Lock lock(mutex_);
    paused = paused_;
  }
  if (paused) connection->pause(Done<>([](Result<>) {}));
}

void Endpoint::connection_ended(Connection& connection, std::string_view reason) {
  server_->counters_of(connection.loop()).sessions_ended.add();
  server_->config.log->debug("vfio-user: a session on " + config_.path + " ended: " + std::string(reason));
  std::shared_ptr<Connection> gone;
  {
    Lock lock(mutex_);
    if (const auto node = connections_.extract(&connection)) gone = node.mapped();
  }
  give_place_back();
}

std::vector<std::shared_ptr<Connection>> Endpoint::connections() const {
  std::vector<std::shared_ptr<Connection>> result;
  Lock lock(mutex_);
  for (const auto& [key, connection] : connections_) result.push_back(connection);
  return result;
}

void Endpoint::append_status(std::vector<SessionStatus>& sessions) const {
  for (const auto& connection : connections())
    sessions.push_back({.path = config_.path,
                        .device = config_.device.name,
                        .peer = connection->peer(),
                        .open = connection->is_open(),
                        .mappings = connection->mappings()});
}

// --- While the device stands still.

void Endpoint::pause(Done<> done) {
  // Completes when nobody holds it any more.
  struct AllStand {
    explicit AllStand(Done<> when_all_do) : done(std::move(when_all_do)) {}
    ~AllStand() { done(); }
    Done<> done;
  };
  const auto all = std::make_shared<AllStand>(std::move(done));
  {
    Lock lock(mutex_);
    paused_ = true;
  }
  for (const auto& connection : connections())
    connection->loop().post([connection, all] { connection->pause(Done<>([all](Result<>) {})); });
}

void Endpoint::resume() {
  {
    Lock lock(mutex_);
    paused_ = false;
  }
  for (const auto& connection : connections())
    connection->loop().post([connection] { connection->resume(); });
}

void Endpoint::take(Done<std::optional<vfio::MovedSession>> done) {
  struct Taking {
    std::shared_ptr<Endpoint> endpoint;
    std::shared_ptr<Connection> connection;
    Done<std::optional<vfio::MovedSession>> done;

    Result<std::optional<vfio::MovedSession>> take() {
      SessionState state = UMDEV_TRY(connection->take());
      return UMDEV_TRY(to_stream(std::move(state), endpoint->server_->config.limits));
    }
  };
  for (const auto& connection : connections()) {
    if (!connection->is_open()) continue;
    auto taking = std::make_shared<Taking>(shared_from_this(), connection, std::move(done));
    return connection->loop().post([taking] { taking->done(taking->take()); });
  }
  done(std::nullopt);
}

void Endpoint::adopt(vfio::MovedSession session, Done<> done) {
  auto state = session_state_of(std::move(session), server_->config.limits);
  if (!state) return done(std::unexpected(state.error()));
  if (!take_place()) return done(fail(EBUSY, "the socket takes no more sessions"));
  struct Adopting {
    ~Adopting() {
      if (endpoint) endpoint->give_place_back();
    }
    std::shared_ptr<Endpoint> endpoint;
    SessionState state;
    Done<> done;
  };
  os::EventLoop& loop = server_->config.workers->next();
  auto adopting = std::make_shared<Adopting>(shared_from_this(), std::move(*state), std::move(done));
  loop.post([adopting, &loop] {
    std::exchange(adopting->endpoint, nullptr)
        ->serve_moved(std::move(adopting->state), loop, std::move(adopting->done));
  });
}

void Endpoint::serve_moved(SessionState state, os::EventLoop& loop, Done<> done) {
  const auto connection = connect(std::move(state.stream.socket), loop);
  if (!connection) return done(fail(ENODEV, "the device is being removed"));
  connection->adopt(std::move(state), std::move(done));
}

// --- The end.

void Endpoint::unregister(RemovePolicy policy, Done<> done) {
  bool refused = false;
  {
    Lock lock(mutex_);
    refused = policy == RemovePolicy::busy && places_ != 0;
    closing_ |= !refused;
    evicting_ |= policy == RemovePolicy::force;
  }
  if (refused) return done(fail(EBUSY, "the socket has sessions"));
  {
    Lock lock(mutex_);
    waiting_.push_back(std::move(done));
  }
  loop_.post([self = shared_from_this()] { self->stop_listening(); });
  if (policy != RemovePolicy::force) return;
  for (const auto& connection : connections())
    connection->loop().post([connection] { connection->end("the socket is being removed"); });
}

void Endpoint::complete_if_over() {
  std::vector<Done<>> over;
  {
    Lock lock(mutex_);
    if (listening_ || places_ != 0) return;
    over = std::move(waiting_);
    waiting_.clear();
  }
  for (Done<>& done : over) done();
}

void Endpoint::end_here() {
  {
    Lock lock(mutex_);
    closing_ = true;
    evicting_ = true;
  }
  stop_listening();
  for (const auto& connection : connections()) connection->end("the server ends");
}

}  // namespace umdev::vfio_user
