// A client's socket: frames in, messages out, never waiting.
#pragma once

#include "umdev/os/unique_fd.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/outbox.h"

namespace umdev::vfio_user {

// Not thread-safe. EPIPE, ECONNRESET: the server is gone.
class ClientStream {
 public:
  explicit ClientStream(os::UniqueFd socket);

  int socket() const { return socket_.get(); }
  void close() { socket_.reset(); }
  FrameAssembler& assembler() { return assembler_; }
  Outbox& outbox() { return outbox_; }

  // Sends of the outbox what fits.
  Result<> flush();
  // Receives once; false when nothing is there. Precondition: next() had nothing.
  Result<bool> receive();
  // See FrameAssembler::next(); EBADMSG, EMSGSIZE for a message of an impossible size.
  Result<const Frame*> next() { return assembler_.next(); }

 private:
  os::UniqueFd socket_;
  FrameAssembler assembler_;
  Outbox outbox_;
};

}  // namespace umdev::vfio_user
