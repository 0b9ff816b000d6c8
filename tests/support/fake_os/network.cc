#include "tests/support/fake_os/network.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "umdev/os/event_fd.h"
#include "umdev/support/assert.h"

namespace umdev::test {

namespace {

FakeNetwork* current = nullptr;

}  // namespace

// --- One connection.

void FakeSocket::send(ConstBytes bytes, std::vector<os::UniqueFd> fds) {
  if (bytes.empty() || client_gone_) return;
  to_server_.push_back({.bytes = {bytes.begin(), bytes.end()}, .fds = std::move(fds), .taken = 0});
  ++edges_;
}

bool FakeSocket::closed_by_server() const {
  pollfd poll{.fd = held_.get(), .events = 0, .revents = 0};
  return refused_ || (::poll(&poll, 1, 0) == 1 && (poll.revents & POLLERR) != 0);
}

std::size_t FakeSocket::unread() const {
  std::size_t count = 0;
  for (const Segment& segment : to_server_) count += segment.bytes.size() - segment.taken;
  return count;
}

std::uint32_t FakeSocket::ready() const {
  std::uint32_t events = 0;
  if (!to_server_.empty() || client_gone_ || spurious > 0) events |= EPOLLIN;
  if (untaken_ < room || client_gone_) events |= EPOLLOUT;
  if (client_gone_) events |= std::uint32_t{EPOLLHUP} | std::uint32_t{EPOLLRDHUP};
  return events;
}

// Like a stream socket of Linux: bytes of several sends together, but never beyond one that carries
// descriptors.
Result<std::size_t> FakeSocket::server_receive(Bytes into, os::FdBatch& fds) {
  if (into.empty()) return fail(EINVAL, "no room to receive into");
  if (spurious > 0) {
    --spurious;
    ++edges_;
    return fail(EAGAIN, "nothing is there");
  }
  if (to_server_.empty()) {
    if (client_gone_) return std::size_t{0};
    return fail(EAGAIN, "nothing is there");
  }
  const std::size_t most = std::min(into.size(), receive_at_most);
  std::size_t count = 0;
  bool has_fds = false;
  while (!to_server_.empty() && count < most) {
    Segment& segment = to_server_.front();
    if (!segment.fds.empty()) {
      if (count > 0) break;
      has_fds = true;
      for (os::UniqueFd& fd : segment.fds)
        if (!lose_descriptors) fds.push(std::move(fd));
      if (lose_descriptors) fds.set_lost();
      lose_descriptors = false;
      segment.fds.clear();
    }
    const ConstBytes rest = ConstBytes(segment.bytes).subspan(segment.taken);
    const ConstBytes part = rest.first(std::min(rest.size(), most - count));
    std::ranges::copy(part, into.begin() + static_cast<std::ptrdiff_t>(count));
    segment.taken += part.size();
    count += part.size();
    if (part.size() == rest.size()) to_server_.pop_front();
    if (has_fds) break;
  }
  // What the fake has held back comes now.
  if (!to_server_.empty() && count < into.size() && !has_fds) ++edges_;
  return count;
}

Result<std::size_t> FakeSocket::server_send(const std::vector<std::byte>& bytes, std::span<const int> fds) {
  if (bytes.empty()) return fail(EINVAL, "nothing to send");
  if (client_gone_) return fail(EPIPE, "the peer is gone");
  if (untaken_ >= room) return fail(EAGAIN, "no room");
  const std::size_t count = std::min({bytes.size(), send_at_most, room - untaken_});
  Received received{.bytes = {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)},
                    .fds = fds.size(),
                    .sockets = {}};
  for (const int fd : fds)
    if (auto socket = FakeNetwork::instance().take_client_end(fd))
      received.sockets.push_back(std::move(socket));
  received_.push_back(std::move(received));
  untaken_ += count;
  return count;
}

// --- All of them.

FakeNetwork::FakeNetwork(TestHost& host) : host_(host), origin_(os::EventFd::create().value().dup().value()) {
  UMDEV_ASSERT(current == nullptr, "one network at a time");
  current = this;
}

FakeNetwork::~FakeNetwork() {
  current = nullptr;
}

FakeNetwork& FakeNetwork::instance() {
  UMDEV_ASSERT(current != nullptr, "there is no network");
  return *current;
}

FakeNetwork::Pair FakeNetwork::connect() {
  // A pipe, because its one end is told when the other is closed, whoever does it.
  std::array<int, 2> ends{};
  UMDEV_ASSERT(::pipe2(ends.data(), O_CLOEXEC) == 0, "no descriptor is left for a connection");
  Pair pair{.server = os::UniqueFd(ends[0]), .client = std::make_shared<FakeSocket>()};
  pair.client->held_.reset(ends[1]);
  listeners_.erase(pair.server.get());  // a number that was a listener's
  sockets_[pair.server.get()] = pair.client;
  return pair;
}

std::shared_ptr<FakeSocket> FakeNetwork::connect_to(const std::string& path) {
  const auto found = paths_.find(path);
  if (found == paths_.end()) return nullptr;
  Pair pair = connect();
  auto client = pair.client;
  listeners_[found->second].waiting.push_back(std::move(pair));
  return client;
}

std::shared_ptr<FakeSocket> FakeNetwork::socket(int fd) const {
  const auto found = sockets_.find(fd);
  return found == sockets_.end() ? nullptr : found->second.lock();
}

FakeNetwork::Listener* FakeNetwork::listener(int fd) {
  const auto found = listeners_.find(fd);
  return found == listeners_.end() ? nullptr : &found->second;
}

void FakeNetwork::keep_client_end(int fd, std::shared_ptr<FakeSocket> socket) {
  client_ends_[fd] = std::move(socket);
}

std::shared_ptr<FakeSocket> FakeNetwork::take_client_end(int fd) {
  const auto node = client_ends_.extract(fd);
  return node ? node.mapped() : nullptr;
}

os::UniqueFd FakeNetwork::listen(const std::string& path) {
  os::UniqueFd fd = origin_.dup().value();
  sockets_.erase(fd.get());
  listeners_.try_emplace(fd.get());
  paths_[path] = fd.get();
  return fd;
}

// Whoever waits there is reset.
void FakeNetwork::remove_listener(const std::string& path, int fd) {
  paths_.erase(path);
  for (const Pair& pair : listeners_[fd].waiting) pair.client->refused_ = true;
  listeners_.erase(fd);
}

std::uint32_t FakeNetwork::ready(int fd) {
  if (const Listener* found = listener(fd)) return found->waiting.empty() ? 0U : std::uint32_t{EPOLLIN};
  const auto found = socket(fd);
  return found ? found->ready() : std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLHUP};
}

// What is no connection is watched by level only.
std::uint64_t FakeNetwork::edges(int fd) {
  const auto found = socket(fd);
  return found ? found->edges() : 0;
}

Result<std::size_t> FakeNetwork::receive(int fd, Bytes into, os::FdBatch& fds) {
  const auto found = socket(fd);
  return found ? found->server_receive(into, fds) : Result<std::size_t>(std::size_t{0});
}

Result<std::size_t> FakeNetwork::send(int fd, const std::vector<std::byte>& bytes, std::span<const int> fds) {
  const auto found = socket(fd);
  if (!found) return fail(EPIPE, "the peer is gone");
  return found->server_send(bytes, fds);
}

}  // namespace umdev::test
