#include "umdev/os/unix_socket.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>

#include "umdev/os/system_call.h"
#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

constexpr std::size_t max_pieces = 1024;  // UIO_MAXIOV

// Room for the ancillary data of the largest message.
struct ControlBuffer {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_fds_per_message * sizeof(int))> bytes;
};

// Takes every descriptor out of the ancillary data, whatever becomes of them then.
void collect_fds(msghdr& message, FdBatch& received) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t index = 0; index < count; ++index) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + index * sizeof(int), sizeof fd);
      received.push(UniqueFd(fd));
    }
  }
}

// One piece and no descriptors, as nearly every batch of replies is: the kernel has less to look at.
Result<std::size_t> send_plain(int socket, const iovec& piece) {
  const long count = repeat_interrupted([&] {
    return system_call<&::send, SYS_sendto>(socket, piece.iov_base, piece.iov_len,
                                            MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  if (count < 0) [[unlikely]]
    return fail(static_cast<int>(-count), "send failed");
  return static_cast<std::size_t>(count);
}

}  // namespace

Result<std::size_t> receive(int socket, Bytes into, FdBatch& fds) {
  if (into.empty()) return fail(EINVAL, "no room to receive into");
  ControlBuffer control;
  iovec piece{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const long count = repeat_interrupted([&] {
    return system_call<&::recvmsg, SYS_recvmsg>(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  });
  if (count < 0) [[unlikely]]
    return fail(static_cast<int>(-count), "recvmsg failed");
  if (message.msg_controllen == 0 && (message.msg_flags & MSG_CTRUNC) == 0)
    return static_cast<std::size_t>(count);

  FdBatch received;
  collect_fds(message, received);
  // MSG_CTRUNC: the kernel had more than it could give us. The buffer holds the most that it sends, so it was
  // our descriptor table that was full.
  if ((message.msg_flags & MSG_CTRUNC) != 0 || received.lost() || received.size() > fds.room()) {
    fds.set_lost();
    return static_cast<std::size_t>(count);
  }
  for (std::size_t index = 0; index < received.size(); ++index) fds.push(received.take(index));
  return static_cast<std::size_t>(count);
}

Result<std::size_t> send(int socket, std::span<const iovec> pieces, std::span<const int> fds) {
  if (pieces.size() > max_pieces) return fail(EMSGSIZE, "more pieces than one call takes");
  if (fds.size() > max_fds_per_message) return fail(EINVAL, "more descriptors than one message carries");
  // Descriptors that come with no byte would be lost on a stream.
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  if (size == 0) return fail(EINVAL, "nothing to send");
  if (fds.empty() && size == pieces.front().iov_len) return send_plain(socket, pieces.front());
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg() only reads them
  message.msg_iovlen = pieces.size();
  if (!fds.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  const long count = repeat_interrupted(
      [&] { return system_call<&::sendmsg, SYS_sendmsg>(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
  if (count < 0) [[unlikely]]
    return fail(static_cast<int>(-count), "sendmsg failed");
  return static_cast<std::size_t>(count);
}

Result<std::size_t> send(int socket, ConstBytes bytes, std::span<const int> fds) {
  const iovec piece = to_iovec(bytes);
  return send(socket, std::span(&piece, 1), fds);
}

iovec to_iovec(ConstBytes bytes) {
  return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
}

Result<std::array<UniqueFd, 2>> make_socket_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail_errno("socketpair failed");
  return std::array{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return fail_errno("SO_PEERCRED failed");
  return PeerCredentials{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

}  // namespace umdev::os
