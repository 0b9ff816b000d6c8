#include "bench/conversation.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "bench/machine.h"
#include "umdev/os/mapping.h"
#include "umdev/os/thread.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::bench {
namespace {

// All of `into`, and the descriptor that comes along.
os::UniqueFd receive_file(int socket, Bytes into) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control;
  iovec piece{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (count != static_cast<ssize_t>(into.size()) || header == nullptr) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return os::UniqueFd(fd);
}

bool wait_to_send(int socket) {
  pollfd request{.fd = socket, .events = POLLOUT, .revents = 0};
  return ::poll(&request, 1, 60'000) == 1;
}

}  // namespace

void limit_silence(int socket) {
  const timeval minute{.tv_sec = 60, .tv_usec = 0};
  if (::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute) != 0) give_up("SO_RCVTIMEO");
}

bool send_all(int socket, ConstBytes bytes, int fd) {
  while (!bytes.empty()) {
    const Result<std::size_t> count =
        fd < 0 ? os::send(socket, bytes) : os::send(socket, bytes, std::span(&fd, 1));
    if (!count) {
      if (count.error().code == EAGAIN && wait_to_send(socket)) continue;
      return false;
    }
    bytes = bytes.subspan(*count);
    fd = -1;
  }
  return true;
}

bool receive_all(int socket, Bytes into) {
  while (!into.empty()) {
    const ssize_t count = ::recv(socket, into.data(), into.size(), MSG_WAITALL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

void Exchange::operator()() {
  if (!send_all(socket_, request_, fd_) || !receive_all(socket_, reply_)) give_up("an exchange of messages");
}

BarePeer::BarePeer(Serve serve) {
  auto pair = must(os::make_socket_pair(), "a socket pair");
  near_ = std::move(pair[0]);
  far_ = std::move(pair[1]);
  limit_silence(near_.get());
  thread_ = std::thread([serve = std::move(serve), socket = far_.get()] {
    os::prefer_this_thread();  // as who serves a device
    while (serve(socket)) {
    }
  });
}

BarePeer::~BarePeer() {
  (void)::shutdown(near_.get(), SHUT_RDWR);
  thread_.join();
}

BarePeer::Serve bare_echo(std::size_t request_size, std::size_t reply_size) {
  return [buffer = std::vector<std::byte>(std::max(request_size, reply_size)), request_size,
          reply_size](int socket) mutable {
    return receive_all(socket, Bytes(buffer).first(request_size)) &&
           send_all(socket, Bytes(buffer).first(reply_size));
  };
}

BarePeer::Serve bare_epoll_echo(std::size_t request_size, std::size_t reply_size) {
  auto epoll = std::make_shared<os::UniqueFd>(::epoll_create1(EPOLL_CLOEXEC));
  if (!*epoll) give_up("epoll_create1");
  return [epoll, watched = false, echo = bare_echo(request_size, reply_size)](int socket) mutable {
    epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
    if (!watched && ::epoll_ctl(epoll->get(), EPOLL_CTL_ADD, socket, &event) != 0) give_up("epoll_ctl");
    watched = true;
    while (::epoll_wait(epoll->get(), &event, 1, -1) < 0) {
      if (errno != EINTR) return false;
    }
    return echo(socket);
  };
}

BarePeer::Serve bare_sink(std::size_t total, std::size_t buffer_size, std::size_t reply_size) {
  return [buffer = std::vector<std::byte>(buffer_size), total, reply_size](int socket) mutable {
    for (std::size_t left = total; left > 0;) {
      const ssize_t count = ::recv(socket, buffer.data(), std::min(left, buffer.size()), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      left -= static_cast<std::size_t>(count);
    }
    return send_all(socket, Bytes(buffer).first(reply_size));
  };
}

BarePeer::Serve bare_mapper(const BareMapper& sizes) {
  const std::size_t largest =
      std::max({sizes.map_request, sizes.map_reply, sizes.unmap_request, sizes.unmap_reply});
  return [buffer = std::vector<std::byte>(largest), sizes](int socket) mutable {
    os::UniqueFd file = receive_file(socket, Bytes(buffer).first(sizes.map_request));
    if (!file) return false;
    auto mapping = os::Mapping::of_fd(file.get(), 0, sizes.memory, os::Protection::read_write);
    file.reset();
    if (!mapping || !send_all(socket, Bytes(buffer).first(sizes.map_reply))) return false;
    if (!receive_all(socket, Bytes(buffer).first(sizes.unmap_request))) return false;
    mapping->reset();
    return send_all(socket, Bytes(buffer).first(sizes.unmap_reply));
  };
}

std::vector<std::byte> message_of(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                                  std::uint32_t flags) {
  const abi::VfioUserHeader header = vfio_user::make_command(1, command, head.size() + data.size(), flags);
  std::vector<std::byte> message;
  for (const ConstBytes part : {bytes_of(header), head, data})
    message.insert(message.end(), part.begin(), part.end());
  return message;
}

std::vector<std::byte> read_request(std::uint32_t region, std::uint32_t size) {
  const abi::VfioUserRegionAccess access{.offset = 0, .region = region, .count = size};
  return message_of(abi::vfio_user_region_read, bytes_of(access));
}

std::vector<std::byte> write_request(std::uint32_t region, std::uint32_t size, std::uint32_t flags) {
  const abi::VfioUserRegionAccess access{.offset = 0, .region = region, .count = size};
  const std::vector<std::byte> data(size);
  return message_of(abi::vfio_user_region_write, bytes_of(access), data, flags);
}

}  // namespace umdev::bench
