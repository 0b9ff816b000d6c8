#include "umdev/vfio_user/send_waiting.h"

#include <array>

#include "umdev/os/unix_socket.h"

namespace umdev::vfio_user {

Result<std::size_t> send_waiting(int socket, Outbox& outbox) {
  std::size_t total = 0;
  while (!outbox.empty()) {
    const Outbox::Piece piece = outbox.front();
    const std::array parts{os::to_iovec(piece.bytes), os::to_iovec(piece.body)};
    const auto count = os::send(socket, parts, piece.fds);
    if (!count && count.error().code == EAGAIN) break;
    if (!count) return count;
    const bool all = *count == piece.size();
    outbox.sent(*count);
    total += *count;
    if (!all) break;
  }
  return total;
}

}  // namespace umdev::vfio_user
