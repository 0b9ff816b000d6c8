// Sockets and event loops in memory, on a clock that a test moves: the daemon's connections, listeners and
// workers run on them as they are, on one thread, and every run is like the last.
//
// A program that is linked with umdev_fake_os has these in place of umdev/os's functions of the same names
// (event_loop.h, unix_socket.h, worker_pool.h). Whoever gives one of those headers another function gives it
// a fake here as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/support/test_host.h"
#include "umdev/os/fd_batch.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::test {

// One connection. The server's end is a descriptor, as anywhere; the client's end is this object.
class FakeSocket {
 public:
  // What came from the server in one send.
  struct Received {
    std::vector<std::byte> bytes;
    std::size_t fds = 0;
    // The other ends of sockets that came along (the twin socket's).
    std::vector<std::shared_ptr<FakeSocket>> sockets;
  };

  // --- The client's side.
  void send(ConstBytes bytes, std::vector<os::UniqueFd> fds = {});
  // The client is gone: the server reads what came before, then the end, and can send nothing more.
  void hang_up() {
    client_gone_ = true;
    ++edges_;
  }
  std::deque<Received>& received() { return received_; }
  // The server has let go of its end.
  bool closed_by_server() const;
  std::size_t unread() const;

  // --- What goes wrong.
  std::size_t receive_at_most = SIZE_MAX;  // bytes of one receive
  std::size_t send_at_most = SIZE_MAX;     // bytes of one send
  std::size_t room = SIZE_MAX;    // bytes that the client has not taken: beyond them sends are EAGAIN
  bool lose_descriptors = false;  // those of the next receive
  unsigned spurious = 0;          // so many times it is readable and a receive is EAGAIN

  // --- The fake's own.
  std::uint32_t ready() const;
  // Grows whenever something happens that an edge-triggered watch hears of.
  std::uint64_t edges() const { return edges_; }
  std::size_t untaken() const { return untaken_; }
  // The client has taken what was sent to it.
  void take_all() {
    untaken_ = 0;
    ++edges_;
  }

 private:
  friend class FakeNetwork;
  struct Segment {
    std::vector<std::byte> bytes;
    std::vector<os::UniqueFd> fds;
    std::size_t taken = 0;
  };
  Result<std::size_t> server_receive(Bytes into, os::FdBatch& fds);
  Result<std::size_t> server_send(const std::vector<std::byte>& bytes, std::span<const int> fds);

  os::UniqueFd held_;  // the other end of what the server has
  std::deque<Segment> to_server_;
  std::deque<Received> received_;
  std::size_t untaken_ = 0;
  std::uint64_t edges_ = 0;
  bool client_gone_ = false;
  bool refused_ = false;
};

// All of it: what exists at this moment is the process's. One thread.
class FakeNetwork {
 public:
  explicit FakeNetwork(TestHost& host);
  ~FakeNetwork();
  FakeNetwork(const FakeNetwork&) = delete;
  FakeNetwork& operator=(const FakeNetwork&) = delete;
  static FakeNetwork& instance();

  TestHost& host() { return host_; }

  // A connection whose server's end is the descriptor.
  struct Pair {
    os::UniqueFd server;
    std::shared_ptr<FakeSocket> client;
  };
  Pair connect();
  // A client that waits to be accepted at a path; null when nobody listens there.
  std::shared_ptr<FakeSocket> connect_to(const std::string& path);

  // So many accepts fail with EMFILE, so many watches with ENOSPC.
  unsigned failing_accepts = 0;
  unsigned failing_watches = 0;

  // --- For the fakes.
  struct Listener {
    std::deque<Pair> waiting;
  };
  std::shared_ptr<FakeSocket> socket(int fd) const;
  // `fd` stands for the client's end of this connection until it is sent away; then whoever receives it has
  // that end.
  void keep_client_end(int fd, std::shared_ptr<FakeSocket> socket);
  std::shared_ptr<FakeSocket> take_client_end(int fd);
  Result<os::UniqueFd> any_descriptor() const { return origin_.dup(); }
  Listener* listener(int fd);
  os::UniqueFd listen(const std::string& path);
  void remove_listener(const std::string& path, int fd);
  std::uint32_t ready(int fd);
  std::uint64_t edges(int fd);
  void forget(int fd) { sockets_.erase(fd); }
  Result<std::size_t> receive(int fd, Bytes into, os::FdBatch& fds);
  Result<std::size_t> send(int fd, const std::vector<std::byte>& bytes, std::span<const int> fds);

 private:
  TestHost& host_;
  os::UniqueFd origin_;  // of which every descriptor that is no connection's is a duplicate
  std::map<int, std::weak_ptr<FakeSocket>> sockets_;
  std::map<int, std::shared_ptr<FakeSocket>> client_ends_;
  std::map<int, Listener> listeners_;
  std::map<std::string, int> paths_;
};

}  // namespace umdev::test
