#include "umdev/vfio_user/client_channel.h"

#include <poll.h>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/client_stream.h"

namespace umdev::vfio_user {

Message make_message(const Frame& frame) {
  Message message{.header = frame.header, .payload = {frame.payload.begin(), frame.payload.end()}, .fds = {}};
  for (std::size_t i = 0; i < frame.fds->size(); ++i) message.fds.push_back(frame.fds->take(i));
  return message;
}

ClientChannel::ClientChannel(os::UniqueFd socket, std::chrono::nanoseconds timeout)
    : stream_(std::make_unique<ClientStream>(std::move(socket))), timeout_(timeout) {}

ClientChannel::~ClientChannel() = default;
ClientChannel::ClientChannel(ClientChannel&& other) noexcept = default;
ClientChannel& ClientChannel::operator=(ClientChannel&& other) noexcept = default;

Result<ClientChannel> ClientChannel::connect(const std::string& path, std::chrono::nanoseconds timeout) {
  return ClientChannel(UMDEV_TRY(os::connect_to(path)), timeout);
}

int ClientChannel::socket() const {
  return stream_->socket();
}

void ClientChannel::close() {
  stream_->close();
}

Result<> ClientChannel::wait_for(short events) const {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout_);
  pollfd request{.fd = socket(), .events = events, .revents = 0};
  const int ready =
      os::retry_interrupted([&] { return ::poll(&request, 1, static_cast<int>(milliseconds.count())); });
  if (ready < 0) return os::fail_errno("poll failed");
  if (ready == 0) return fail(ETIMEDOUT, "the server is silent");
  return {};
}

Result<> ClientChannel::send(ConstBytes bytes, std::span<const int> fds) {
  while (!bytes.empty()) {
    const auto count = os::send(socket(), bytes, fds);
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

Result<Message> ClientChannel::receive() {
  for (;;) {
    const auto frame = UMDEV_TRY(stream_->next());
    if (frame) return make_message(*frame);
    if (!UMDEV_TRY(stream_->receive())) UMDEV_TRY(wait_for(POLLIN));
  }
}

}  // namespace umdev::vfio_user
