// A connected session as a value: what another place needs to serve its client from the next byte on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/vfio/device_sessions.h"
#include "umdev/vfio/irq_setup.h"
#include "umdev/vfio_user/backlog.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/limits.h"
#include "umdev/vfio_user/outbox.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user {

// One of its sockets.
struct StreamState {
  os::UniqueFd socket;
  ReceivedBytes received;  // and not handled yet
  std::vector<UnsentPiece> unsent;
};

// A DMA_MAP.
struct MappingState {
  std::uint64_t iova = 0;
  std::uint64_t size = 0;
  std::uint32_t flags = 0;            // abi::vfio_dma_map_flag_*
  std::optional<std::uint32_t> file;  // of SessionState::files; none: it is reached by messages
  std::uint64_t offset = 0;           // in the file
};

struct SessionState {
  Capabilities agreed;
  std::uint32_t fds_max = 0;   // that the client takes with one reply
  bool shares_device = false;  // the client has descriptors of the device's own
  StreamState stream;
  std::optional<StreamState> twin;
  std::vector<BacklogMessage> backlog;
  std::vector<os::UniqueFd> files;
  std::vector<MappingState> mappings;
  vfio::IrqSetup interrupts;
};

// A stream of state_stream.h, whose descriptors stand beside it in the order in which it speaks of them.
// E2BIG above Limits::moved_session.
Result<vfio::MovedSession> to_stream(SessionState state, const Limits& limits);

// EINVAL for what is not such a stream, whole and undamaged, with just its descriptors; for what no session
// under these limits could be; and for what two places cannot agree on. What the fields mean to the device
// and to the memory is checked by those that take them.
Result<SessionState> session_state_of(vfio::MovedSession moved, const Limits& limits);

}  // namespace umdev::vfio_user
