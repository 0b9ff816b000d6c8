// The client's end of a vfio-user socket: whole messages out and in. Waits; for clients and tests, not for
// the server.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/host.h"

namespace umdev::vfio_user {

// A message that was received.
struct Message {
  abi::VfioUserHeader header{};
  std::vector<std::byte> payload;
  std::vector<os::UniqueFd> fds;
};

// Not thread-safe, except that one thread may send while another receives.
class ClientChannel {
 public:
  // `timeout` is the longest silence that is waited for: ETIMEDOUT.
  explicit ClientChannel(os::UniqueFd socket, Duration timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}
  // os::connect_to()'s errors.
  static Result<ClientChannel> connect(const std::string& path, Duration timeout);

  // Sends all of it, whatever it is; the descriptors go with the first byte and stay the caller's. EPIPE when
  // the server is gone.
  Result<> send(ConstBytes bytes, std::span<const int> fds = {});
  // The next message. ECONNRESET at the end of the stream; EBADMSG for a size that cannot be.
  Result<Message> receive();

  int socket() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  Result<> wait_for(short events) const;
  Result<> receive_all(Bytes into, std::vector<os::UniqueFd>& fds);

  os::UniqueFd socket_;
  Duration timeout_;
};

}  // namespace umdev::vfio_user
