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
  // A second socket for what the server asks. In a reply: which of the descriptors that come along it is.
  bool twin_socket = false;
  std::uint32_t twin_fd_index = 0;
  // Dirty pages: the page size of bitmaps (a power of two), and the largest bitmap in bytes.
  bool migration = false;
  std::uint64_t migration_pgsize = 4096;
  std::uint64_t max_bitmap_size = 1ULL << 28;
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct VersionMessage {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
  Capabilities capabilities;
};

// Checks and reads a VERSION payload, request or reply. Unknown names are ignored. EINVAL: too short; a text
// without its zero byte, longer or deeper than `limits` allow, or no JSON; something of a wrong type; a
// max_data_xfer_size of 0 (nothing could be transferred); a page size for bitmaps that is no power of two.
// Numbers above what is understood are cut to it.
Result<VersionMessage> decode_version(ConstBytes payload, const Limits& limits);

// A VERSION payload: the fixed part, the JSON text with what differs from what nobody has, and its zero byte.
// Capabilities that are not there (write_multiple, twin_socket, migration) are left out, which every peer
// understands. `is_reply` adds what only a reply has.
std::vector<std::byte> encode_version(const VersionMessage& message, bool is_reply = false);

// The server's answer: the client's major, the lower minor, and what holds for the session: of what both
// sides limit the lower, of what both must know what the client knows, and our own max_msg_fds, which only we
// receive. EINVAL for a major that is not ours, and for a client that maps only pages smaller than ours.
Result<VersionMessage> answer_version(const VersionMessage& proposed, const Limits& limits);

}  // namespace umdev::vfio_user
