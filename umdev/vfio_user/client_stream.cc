#include "umdev/vfio_user/client_stream.h"

#include <array>

#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/limits.h"

namespace umdev::vfio_user {

ClientStream::ClientStream(os::UniqueFd socket)
    : socket_(std::move(socket)), assembler_(Limits{}.message(), Limits{}.receive_buffer) {}

Result<> ClientStream::flush() {
  while (!outbox_.empty()) {
    const Outbox::Piece piece = outbox_.front();
    const std::array parts{os::to_iovec(piece.bytes), os::to_iovec(piece.body)};
    const auto count = os::send(socket_.get(), parts, piece.fds);
    if (!count && count.error().code == EAGAIN) return {};
    if (!count) return std::unexpected(count.error());
    outbox_.sent(*count);
  }
  return {};
}

Result<bool> ClientStream::receive() {
  const auto count = os::receive(socket_.get(), assembler_.space(), assembler_.incoming_fds());
  if (!count && count.error().code == EAGAIN) return false;
  if (!count) return std::unexpected(count.error());
  if (*count == 0) return fail(ECONNRESET, "the server closed the connection");
  assembler_.commit(*count);
  return true;
}

}  // namespace umdev::vfio_user
