#include "umdev/vfio_user/server.h"

#include <algorithm>
#include <ranges>

#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/endpoint.h"

namespace umdev::vfio_user {
namespace {

class EndpointEntry final : public Registration::Entry {
 public:
  explicit EndpointEntry(std::shared_ptr<Endpoint> endpoint) : endpoint_(std::move(endpoint)) {}

 private:
  void unregister(RemovePolicy policy, Done<> done) override {
    endpoint_->unregister(policy, std::move(done));
  }
  const std::shared_ptr<Endpoint> endpoint_;
};

}  // namespace

Server::Server(const Config& config) : state_(std::make_shared<ServerState>(config)) {}

Server::~Server() {
  // A loop that does not run belongs to whoever calls.
  const bool workers_run = !state_->config.workers->at(0).on_loop_thread();
  const auto all = endpoints();
  if (!workers_run) {
    for (const auto& endpoint : all) endpoint->end_here();
    return;
  }
  Mutex mutex;
  Condition changed;
  std::size_t left = all.size();
  for (const auto& endpoint : all)
    endpoint->unregister(RemovePolicy::force, Done<>([&](Result<>) {
                           Lock lock(mutex);
                           --left;
                           changed.notify_all();
                         }));
  mutex.lock();
  while (left != 0) changed.wait(mutex);
  mutex.unlock();
}

std::vector<std::shared_ptr<Endpoint>> Server::endpoints() const {
  std::vector<std::shared_ptr<Endpoint>> result;
  Lock lock(mutex_);
  for (const auto& weak : endpoints_)
    if (auto endpoint = weak.lock()) result.push_back(std::move(endpoint));
  return result;
}

Result<Registration> Server::listen(EndpointConfig config) {
  os::UnixListener listener = UMDEV_TRY(os::listen_at(config.path, config.file));
  return add(std::make_shared<Endpoint>(state_, std::move(config), std::move(listener)));
}

Result<Registration> Server::serve(EndpointConfig config, os::UniqueFd socket) {
  const auto handed = UMDEV_TRY(os::inspect_socket(socket.get()));
  os::UnixListener listener;
  if (handed.is_listening) listener = UMDEV_TRY(os::adopt_listener(std::exchange(socket, os::UniqueFd())));
  const auto endpoint = std::make_shared<Endpoint>(state_, std::move(config), std::move(listener));
  Registration registration = add(endpoint);
  if (socket) endpoint->take_client(std::move(socket));
  return registration;
}

Registration Server::add(const std::shared_ptr<Endpoint>& endpoint) {
  {
    Lock lock(mutex_);
    // Not each time: one more endpoint shall not cost more the more there are.
    if (endpoints_.size() >= sweep_at_) {
      std::erase_if(endpoints_, [](const auto& weak) { return weak.expired(); });
      sweep_at_ = std::max(sweep_at_least, 2 * endpoints_.size());
    }
    endpoints_.push_back(endpoint);
  }
  endpoint->start();
  return Registration(std::make_shared<EndpointEntry>(endpoint));
}

// The newest: an earlier one of the same device may have sessions yet, of a device that is gone.
std::shared_ptr<vfio::DeviceSessions> Server::sessions_of(std::string_view device) {
  Lock lock(mutex_);
  for (const auto& weak : std::views::reverse(endpoints_))
    if (auto endpoint = weak.lock(); endpoint && endpoint->device() == device) return endpoint;
  return nullptr;
}

ServerStatus Server::status() const {
  ServerStatus status;
  for (const auto& endpoint : endpoints()) endpoint->append_status(status.sessions);
  for (const Counters& counters : state_->counters) status.counters.add(counters);
  status.file_mappings = state_->budget->mappings();
  status.mapped_bytes = state_->budget->bytes();
  return status;
}

}  // namespace umdev::vfio_user
