#include "umdev/vfio_user/client_channel.h"

#include <poll.h>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/limits.h"

namespace umdev::vfio_user {

Result<ClientChannel> ClientChannel::connect(const std::string& path, Duration timeout) {
  return ClientChannel(UMDEV_TRY(os::connect_to(path)), timeout);
}

Result<> ClientChannel::wait_for(short events) const {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout_);
  pollfd request{.fd = socket_.get(), .events = events, .revents = 0};
  const int ready =
      os::retry_interrupted([&] { return ::poll(&request, 1, static_cast<int>(milliseconds.count())); });
  if (ready < 0) return os::fail_errno("poll failed");
  if (ready == 0) return fail(ETIMEDOUT, "the server is silent");
  return {};
}

Result<> ClientChannel::send(ConstBytes bytes, std::span<const int> fds) {
  while (!bytes.empty()) {
    const auto count = os::send(socket_.get(), bytes, fds);
    if (!count && count.error().code == EAGAIN) {
      UMDEV_TRY(wait_for(POLLOUT));
      continue;
    }
    if (!count) return std::unexpected(count.error());
    bytes = bytes.subspan(*count);
    fds = {};
  }
  return {};
}

Result<> ClientChannel::receive_all(Bytes into, std::vector<os::UniqueFd>& fds) {
  while (!into.empty()) {
    os::FdBatch batch;
    const auto count = os::receive(socket_.get(), into, batch);
    if (!count && count.error().code == EAGAIN) {
      UMDEV_TRY(wait_for(POLLIN));
      continue;
    }
    if (!count) return std::unexpected(count.error());
    if (*count == 0) return fail(ECONNRESET, "the server closed the connection");
    for (std::size_t i = 0; i < batch.size(); ++i) fds.push_back(batch.take(i));
    into = into.subspan(*count);
  }
  return {};
}

// The header alone first: what comes with its first byte belongs to this message.
Result<Message> ClientChannel::receive() {
  Message message;
  UMDEV_TRY(receive_all(std::as_writable_bytes(std::span(&message.header, 1)), message.fds));
  if (message.header.size < sizeof message.header || message.header.size > Limits{}.message())
    return fail(EBADMSG, "a message of an impossible size");
  message.payload.resize(message.header.size - sizeof message.header);
  UMDEV_TRY(receive_all(message.payload, message.fds));
  return message;
}

}  // namespace umdev::vfio_user
