// The sockets of instances, and the sessions on them.
//
// Threads. Everything may be called from any thread. Connections are spread over the loops of the worker pool
// and stay where they are; nothing here ever waits, except the destructor.
// Lifetimes. The core, the pool and the log outlive the server. Endpoints end with their Registration, or
// with the server, whichever is first.
// Errors. What a client does ends at most its own session. EMFILE at accept leaves the client waiting until
// descriptors are free.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "umdev/os/unix_socket.h"
#include "umdev/os/worker_pool.h"
#include "umdev/support/log.h"
#include "umdev/support/mutex.h"
#include "umdev/support/registration.h"
#include "umdev/vfio/device_sessions.h"
#include "umdev/vfio_user/counters.h"
#include "umdev/vfio_user/limits.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

class Endpoint;
struct ServerState;

// A socket for one device.
struct EndpointConfig {
  std::string path;  // of any length, see os::listen_at()
  os::SocketFile file = {};
  DeviceAddress device;
  std::shared_ptr<Tap> tap = nullptr;  // where its messages can be traced
};

// One session as `status` shows it.
struct SessionStatus {
  std::string path;
  std::string device;
  pid_t peer = 0;     // who connected
  bool open = false;  // it has the device
  std::uint32_t mappings = 0;
};

struct ServerStatus {
  std::vector<SessionStatus> sessions;
  CounterValues counters;
  std::uint32_t file_mappings = 0;  // of client files, pinned ones included
  std::uint64_t mapped_bytes = 0;
};

class Server final : public vfio::SessionDoor {
 public:
  struct Config {
    vfio::Core* core = nullptr;
    os::WorkerPool* workers = nullptr;
    Log* log = nullptr;
    Limits limits;
  };
  explicit Server(const Config& config);
  // Ends all sessions and endpoints. Waits for the workers, so not from one of them; after
  // WorkerPool::stop() it ends them on the calling thread.
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens. The path is connectable when this returns. os::listen_at()'s errors.
  // The registration ends so: the socket is closed and its path removed; `wait` then lets the sessions that
  // are there go on until they end by themselves, `force` ends them, `busy` refuses (EBUSY) while there are
  // any. `done` is called on a worker.
  Result<Registration> listen(EndpointConfig config) UMDEV_EXCLUDES(mutex_);

  // The same on a socket that was handed over, listening or connected: then its client is the only one that
  // ever comes. Where a path is known it stays as it is. os::inspect_socket()'s errors.
  Result<Registration> serve(EndpointConfig config, os::UniqueFd socket) UMDEV_EXCLUDES(mutex_);

  // ^vfio::SessionDoor
  std::shared_ptr<vfio::DeviceSessions> sessions_of(std::string_view device) override UMDEV_EXCLUDES(mutex_);

  ServerStatus status() const UMDEV_EXCLUDES(mutex_);

 private:
  Registration add(const std::shared_ptr<Endpoint>& endpoint) UMDEV_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<Endpoint>> endpoints() const UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<ServerState> state_;
  mutable Mutex mutex_;
  // Those that are gone are swept out when the list is as long as this.
  static constexpr std::size_t sweep_at_least = 64;
  std::vector<std::weak_ptr<Endpoint>> endpoints_ UMDEV_GUARDED_BY(mutex_);
  std::size_t sweep_at_ UMDEV_GUARDED_BY(mutex_) = sweep_at_least;
};

}  // namespace umdev::vfio_user
