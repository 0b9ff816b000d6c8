// The functions of os/unix_socket.h on the network in memory.
#include "umdev/os/unix_socket.h"

#include "tests/support/fake_os/network.h"

namespace umdev::os {

Result<std::size_t> receive(int socket, Bytes into, FdBatch& fds) {
  return test::FakeNetwork::instance().receive(socket, into, fds);
}

Result<std::size_t> send(int socket, std::span<const iovec> pieces, std::span<const int> fds) {
  std::vector<std::byte> bytes;
  for (const iovec& piece : pieces) {
    const auto* begin = static_cast<const std::byte*>(piece.iov_base);
    if (piece.iov_len != 0) bytes.insert(bytes.end(), begin, begin + piece.iov_len);
  }
  return test::FakeNetwork::instance().send(socket, bytes, fds);
}

Result<std::size_t> send(int socket, ConstBytes bytes, std::span<const int> fds) {
  const iovec piece = to_iovec(bytes);
  return send(socket, std::span(&piece, 1), fds);
}

iovec to_iovec(ConstBytes bytes) {
  return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
}

// The first is the server's; the second stands for its other end until it is sent away.
Result<std::array<UniqueFd, 2>> make_socket_pair() {
  test::FakeNetwork& network = test::FakeNetwork::instance();
  auto pair = network.connect();
  os::UniqueFd other = UMDEV_TRY(network.any_descriptor());
  network.keep_client_end(other.get(), pair.client);
  return std::array{std::move(pair.server), std::move(other)};
}

Result<PeerCredentials> peer_credentials(int) {
  return PeerCredentials{.pid = 1, .uid = 0, .gid = 0};
}

// --- Listeners.

Result<UnixListener> listen_at(const std::string& path, const SocketFile&, int) {
  UnixListener listener;
  listener.fd_ = test::FakeNetwork::instance().listen(path);
  listener.path_ = path;
  return listener;
}

// Nobody hands a socket over here.
Result<HandedSocket> inspect_socket(int) {
  return fail(EINVAL, "not a socket");
}

Result<UnixListener> adopt_listener(UniqueFd) {
  return fail(EINVAL, "not a socket");
}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::move(other.fd_);
    path_ = std::move(other.path_);
  }
  return *this;
}

Result<UniqueFd> UnixListener::accept() const {
  test::FakeNetwork& network = test::FakeNetwork::instance();
  if (network.failing_accepts > 0) {
    --network.failing_accepts;
    return fail(EMFILE, "no descriptor is left");
  }
  auto* listener = network.listener(fd_.get());
  if (listener == nullptr || listener->waiting.empty()) return fail(EAGAIN, "nobody waits");
  UniqueFd accepted = std::move(listener->waiting.front().server);
  listener->waiting.pop_front();
  return accepted;
}

void UnixListener::close() {
  if (fd_) test::FakeNetwork::instance().remove_listener(path_, fd_.get());
  fd_.reset();
}

}  // namespace umdev::os
