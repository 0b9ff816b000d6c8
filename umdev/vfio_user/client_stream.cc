#include "umdev/vfio_user/client_stream.h"

#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/limits.h"
#include "umdev/vfio_user/send_waiting.h"

namespace umdev::vfio_user {

ClientStream::ClientStream(os::UniqueFd socket)
    : socket_(std::move(socket)), assembler_(Limits{}.message(), Limits{}.receive_buffer) {}

Result<> ClientStream::flush() {
  UMDEV_TRY(send_waiting(socket_.get(), outbox_));
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
