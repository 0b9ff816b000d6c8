// From an outbox to its socket.
#pragma once

#include <cstddef>

#include "umdev/support/error.h"
#include "umdev/vfio_user/outbox.h"

namespace umdev::vfio_user {

// Sends what waits in `outbox`, as far as `socket` takes it now; how many bytes that was. What the socket
// does not take stays, and is no error. EPIPE, ECONNRESET: nobody takes it any more. Never waits.
Result<std::size_t> send_waiting(int socket, Outbox& outbox);

}  // namespace umdev::vfio_user
