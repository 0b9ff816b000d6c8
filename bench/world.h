// A core, a vfio-user server on real sockets, and devices behind it, on real threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "umdev/device/class.h"
#include "umdev/device/model.h"
#include "umdev/os/system_host.h"
#include "umdev/os/worker_pool.h"
#include "umdev/tree/tree.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio_user/client.h"
#include "umdev/vfio_user/server.h"

namespace umdev::bench {

class World {
 public:
  // Whether the threads that serve clients run before those, as umdevd's do.
  enum class Workers : bool { preferred, equal };
  explicit World(Workers workers = Workers::preferred);
  // Clients and device files are gone by then.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A device with a socket of its own. All sessions are served by one worker.
  std::size_t add(const std::string& name, std::unique_ptr<vfio::Device> device);
  std::size_t add_null(const std::string& name);

  // A client that has not said a word, and one whose session is open.
  vfio_user::Client silent_client(std::size_t device);
  vfio_user::Client client(std::size_t device);

  // The device opened without a socket.
  struct OpenDevice {
    std::shared_ptr<vfio::Container> container;
    std::shared_ptr<vfio::GroupFile> group;
    std::shared_ptr<vfio::DeviceFile> file;
  };
  OpenDevice open(std::size_t device);

  os::WorkerPool& workers() { return *workers_; }
  Clock& clock() { return host_->clock(); }

 private:
  struct Instance {
    std::shared_ptr<device::Device> parent;
    std::shared_ptr<vfio::RegisteredDevice> device;
    Registration registration;
    Registration endpoint;
    std::string path;
    std::uint32_t group = 0;
  };

  NullLog log_;
  ScratchDirectory directory_;
  std::unique_ptr<os::WorkerPool> management_;  // the core's time and work
  std::unique_ptr<os::WorkerPool> workers_;
  std::unique_ptr<os::SystemHost> host_;
  tree::Tree tree_;
  std::unique_ptr<device::Model> model_;
  std::unique_ptr<vfio::Core> core_;
  std::shared_ptr<device::Class> device_class_;
  Registration type1_;
  std::unique_ptr<vfio_user::Server> server_;
  std::vector<Instance> instances_;
};

}  // namespace umdev::bench
