// The VERSION message: who can take what. The JSON parser stays in the .cc file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/vfio_user/limits.h"

namespace umdev::vfio_user {

// What one side says of itself. A value that is not said has the specification's default.
struct Capabilities {
  std::uint32_t max_msg_fds = 1;
  std::uint32_t max_data_xfer_size = 1U << 20;
  std::uint32_t max_dma_maps = 65535;
  std::uint64_t pgsizes = 4096;
  bool write_multiple = false;
  bool twin_socket = false;
};

struct VersionMessage {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
  Capabilities capabilities;
};

// Checks and reads a VERSION payload, request or reply. Unknown names are ignored. EINVAL: too short; a text
// without its zero byte, longer or deeper than `limits` allow, or no JSON; something of a wrong type; a
// max_data_xfer_size of 0 (nothing could be transferred). Numbers above what is understood are cut to it.
Result<VersionMessage> decode_version(ConstBytes payload, const Limits& limits);

// A VERSION payload: the fixed part, the JSON text with what differs from what nobody has, and its zero byte.
// Capabilities that are not there (write_multiple, twin_socket) are left out, which every peer understands.
std::vector<std::byte> encode_version(const VersionMessage& message);

// The server's answer: the client's major, the lower minor, our own capabilities. EINVAL for a major that is
// not ours.
Result<VersionMessage> answer_version(const VersionMessage& proposed, const Limits& limits);

}  // namespace umdev::vfio_user
