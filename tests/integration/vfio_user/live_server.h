// A core, a server on real sockets and devices behind it, on real threads and real time.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/vfio_user/board.h"
#include "tests/support/test_host.h"
#include "umdev/device/class.h"
#include "umdev/device/model.h"
#include "umdev/iommu/type1.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/system_host.h"
#include "umdev/os/worker_pool.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio_user/client.h"
#include "umdev/vfio_user/messages.h"
#include "umdev/vfio_user/server.h"

namespace umdev::vfio_user::test {

// Waits until `condition` holds, for a few seconds at most.
template <typename Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

// Descriptors that this process has open.
std::size_t open_descriptors();

class LiveServer {
 public:
  struct Options {
    std::size_t workers = 1;  // all sessions on one, unless a test says otherwise
    std::size_t devices = 2;
    Limits limits = {};
    std::chrono::nanoseconds access_deadline = std::chrono::seconds(20);
    std::chrono::nanoseconds unmap_deadline = std::chrono::seconds(10);
  };
  LiveServer() : LiveServer(Options{}) {}
  explicit LiveServer(Options options);
  ~LiveServer();

  struct Instance {
    std::shared_ptr<Board::State> state = std::make_shared<Board::State>();
    std::shared_ptr<device::Device> parent;
    std::shared_ptr<vfio::RegisteredDevice> device;
    Registration registration;
    Registration endpoint;
    std::string path;
  };

  // A client that has negotiated.
  Client client(std::size_t instance, Duration timeout = Client::usual_timeout);
  // A client that has not said a word.
  Client silent_client(std::size_t instance, Duration timeout = Client::usual_timeout);

  // Nothing of any client is left.
  bool is_idle() const;

  umdev::test::RecordingLog log;
  std::string directory;
  std::unique_ptr<os::WorkerPool> management;  // the core's time and work
  std::unique_ptr<os::WorkerPool> workers;
  std::unique_ptr<os::SystemHost> host;
  tree::Tree tree;
  std::unique_ptr<device::Model> model;
  std::unique_ptr<vfio::Core> core;
  std::shared_ptr<device::Class> device_class;
  Registration type1;
  std::unique_ptr<Server> server;
  std::vector<Instance> instances;

 private:
  void add_instance(const std::string& name);
};

}  // namespace umdev::vfio_user::test
