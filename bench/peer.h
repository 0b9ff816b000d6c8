// Another vfio-user library in the same harness: libvfio-user, when UMDEV_PEER_LIB says where it is.
#pragma once

#include <memory>
#include <optional>
#include <thread>

#include "bench/machine.h"
#include "umdev/vfio_user/client.h"

namespace umdev::bench {

// A device with one BAR of a page, served by that library on a thread of its own, and a client of it.
class Peer {
 public:
  // Null without UMDEV_PEER_LIB. Gives up when it is there and cannot be used.
  static std::unique_ptr<Peer> start(const Placement& placement);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  vfio_user::Client& client() { return *client_; }

 private:
  class Library;
  explicit Peer(std::unique_ptr<Library> library);

  ScratchDirectory directory_;
  std::unique_ptr<Library> library_;
  void* context_ = nullptr;
  std::thread thread_;
  std::optional<vfio_user::Client> client_;
};

}  // namespace umdev::bench
