// Bytes there and back over a UNIX stream socket: as the machine does it by itself, and as vfio-user does it.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/vfio_user/client.h"

namespace umdev::bench {

// Whoever reads from this socket waits a minute at most.
void limit_silence(int socket);

// Blocking, all of it. False when the other end is gone, or silent for too long.
bool send_all(int socket, ConstBytes bytes, int fd = -1);
bool receive_all(int socket, Bytes into);

// One message, and the answer that it gets: always the same, so nothing is built while time is taken.
class Exchange {
 public:
  // `socket` stays the caller's.
  Exchange(int socket, std::vector<std::byte> request, std::size_t reply_size, int fd = -1)
      : socket_(socket), request_(std::move(request)), reply_(reply_size), fd_(fd) {}
  void operator()();

 private:
  const int socket_;
  const std::vector<std::byte> request_;
  std::vector<std::byte> reply_;
  const int fd_;  // goes along
};

// The other end of a socket, on a thread of its own: what the machine does with no device behind it.
class BarePeer {
 public:
  // One exchange; false when the near end is gone.
  using Serve = std::function<bool(int socket)>;
  explicit BarePeer(Serve serve);
  ~BarePeer();
  BarePeer(const BarePeer&) = delete;
  BarePeer& operator=(const BarePeer&) = delete;

  int socket() const { return near_.get(); }
  std::thread& thread() { return thread_; }

 private:
  os::UniqueFd near_;
  os::UniqueFd far_;
  std::thread thread_;
};

// Answers `request_size` bytes with `reply_size` bytes: by a read that waits, or by epoll and a read that
// does not, as every server of more than one client must.
BarePeer::Serve bare_echo(std::size_t request_size, std::size_t reply_size);
BarePeer::Serve bare_epoll_echo(std::size_t request_size, std::size_t reply_size);
// Swallows `total` bytes, `buffer` at a time, then answers.
BarePeer::Serve bare_sink(std::size_t total, std::size_t buffer, std::size_t reply_size);
// Takes a file with the first message, maps `memory` bytes of it and answers; unmaps at the second and
// answers.
struct BareMapper {
  std::size_t map_request;
  std::size_t map_reply;
  std::size_t unmap_request;
  std::size_t unmap_reply;
  std::size_t memory;
};
BarePeer::Serve bare_mapper(const BareMapper& sizes);

// Whole messages of vfio-user.
std::vector<std::byte> message_of(abi::VfioUserCommand command, ConstBytes head, ConstBytes data = {},
                                  std::uint32_t flags = 0);
std::vector<std::byte> read_request(std::uint32_t region, std::uint32_t size);
std::vector<std::byte> write_request(std::uint32_t region, std::uint32_t size, std::uint32_t flags = 0);
inline constexpr std::size_t reply_head = sizeof(abi::VfioUserHeader) + sizeof(abi::VfioUserRegionAccess);

}  // namespace umdev::bench
