// One listening socket and its connections.
//
// Threads. The listener and its watch belong to one loop, each connection to its own; what they share is
// behind the mutex, which is a leaf and never held while a connection or a completion is called.
// Lifetimes. Shared: its registration, its connections and work on its way to the loops keep it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "umdev/os/unix_socket.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio/device_sessions.h"
#include "umdev/vfio_user/connection.h"
#include "umdev/vfio_user/server.h"

namespace umdev::vfio_user {

// What all endpoints of a server share. Lives as long as one of them or one of their connections.
struct ServerState {
  explicit ServerState(const Server::Config& server);
  // The counters of a loop's thread.
  Counters& counters_of(const os::EventLoop& loop);

  const Server::Config config;
  const std::shared_ptr<iommu::MappingBudget> budget;
  std::vector<Counters> counters;  // one for each worker
};

class Endpoint final : public ConnectionOwner,
                       public vfio::DeviceSessions,
                       public std::enable_shared_from_this<Endpoint> {
 public:
  Endpoint(std::shared_ptr<ServerState> server, EndpointConfig config, os::UnixListener listener);
  ~Endpoint() override;

  // Lets the loop look at the listener, where there is one.
  void start();
  // Serves a client that is connected already.
  void take_client(os::UniqueFd socket) UMDEV_EXCLUDES(mutex_);

  // See Server::listen().
  void unregister(RemovePolicy policy, Done<> done) UMDEV_EXCLUDES(mutex_);

  // ^ConnectionOwner
  void connection_ended(Connection& connection, std::string_view reason) override UMDEV_EXCLUDES(mutex_);

  // ^vfio::DeviceSessions
  void pause(Done<> done) override UMDEV_EXCLUDES(mutex_);
  void resume() override UMDEV_EXCLUDES(mutex_);
  void take(Done<std::optional<vfio::MovedSession>> done) override UMDEV_EXCLUDES(mutex_);
  void adopt(vfio::MovedSession session, Done<> done) override UMDEV_EXCLUDES(mutex_);

  // The device's name.
  const std::string& device() const { return config_.device.name; }

  // For the server's end, when no loop runs any more: ends everything on the calling thread.
  void end_here() UMDEV_EXCLUDES(mutex_);
  void append_status(std::vector<SessionStatus>& sessions) const UMDEV_EXCLUDES(mutex_);

 private:
  class Arrival;  // a connection on its way to its loop

  void begin_listening();
  void stop_listening() UMDEV_EXCLUDES(mutex_);
  void client_waits();
  void wait_for_descriptors();
  void send_to_a_loop(os::UniqueFd socket);
  bool take_place() UMDEV_EXCLUDES(mutex_);
  void give_place_back() UMDEV_EXCLUDES(mutex_);
  void serve(os::UniqueFd socket, os::EventLoop& loop) UMDEV_EXCLUDES(mutex_);
  void serve_moved(SessionState state, os::EventLoop& loop, Done<> done) UMDEV_EXCLUDES(mutex_);
  std::shared_ptr<Connection> connect(os::UniqueFd socket, os::EventLoop& loop) UMDEV_EXCLUDES(mutex_);
  void complete_if_over() UMDEV_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<Connection>> connections() const UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<ServerState> server_;
  const EndpointConfig config_;
  os::EventLoop& loop_;

  // The loop's thread only.
  os::UnixListener listener_;
  os::Watch watch_;
  Timer resume_timer_;

  mutable Mutex mutex_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_ UMDEV_GUARDED_BY(mutex_);
  std::uint32_t places_ UMDEV_GUARDED_BY(mutex_) = 0;  // connections and arrivals
  bool closing_ UMDEV_GUARDED_BY(mutex_) = false;
  bool evicting_ UMDEV_GUARDED_BY(mutex_) = false;  // closing by force: who arrives now is ended too
  bool listening_ UMDEV_GUARDED_BY(mutex_) = true;
  bool paused_ UMDEV_GUARDED_BY(mutex_) = false;  // who arrives now is paused too
  std::vector<Done<>> waiting_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::vfio_user
