// The client's end of a vfio-user socket: whole messages out and in. Waits; for clients and tests, not for
// the server.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio_user {

class ClientStream;
struct Frame;

// A message that was received.
struct Message {
  abi::VfioUserHeader header{};
  std::vector<std::byte> payload;
  std::vector<os::UniqueFd> fds;
};

// Takes the descriptors of a frame.
Message make_message(const Frame& frame);

// Not thread-safe, except that one thread may send while another receives.
class ClientChannel {
 public:
  // `timeout` is the longest silence that is waited for: ETIMEDOUT.
  explicit ClientChannel(os::UniqueFd socket, std::chrono::nanoseconds timeout);
  ~ClientChannel();
  ClientChannel(ClientChannel&& other) noexcept;
  ClientChannel& operator=(ClientChannel&& other) noexcept;
  // os::connect_to()'s errors.
  static Result<ClientChannel> connect(const std::string& path, std::chrono::nanoseconds timeout);

  // Sends all of it, whatever it is; the descriptors go with the first byte and stay the caller's. EPIPE when
  // the server is gone.
  Result<> send(ConstBytes bytes, std::span<const int> fds = {});
  // The next message. ECONNRESET at the end of the stream; EBADMSG, EMSGSIZE for a size that cannot be.
  Result<Message> receive();

  int socket() const;
  void close();
  std::chrono::nanoseconds timeout() const { return timeout_; }
  // What lies below.
  ClientStream& stream() { return *stream_; }

 private:
  Result<> wait_for(short events) const;

  std::unique_ptr<ClientStream> stream_;
  std::chrono::nanoseconds timeout_;
};

}  // namespace umdev::vfio_user
