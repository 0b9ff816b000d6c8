// Everything of an instance that goes with it to another place, and its stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/support/uuid.h"

namespace umdev::manage {

// A client that stays connected: what goes beside the stream (handover.h).
struct MovedClient {
  std::uint64_t stream_size = 0;  // of its session
  std::uint32_t descriptors = 0;  // in all
  friend bool operator==(const MovedClient&, const MovedClient&) = default;
};

struct MovedInstance {
  Uuid uuid;
  std::string parent;  // the source's name for it
  std::string type;    // "mtty-2": its parent's driver and the type
  // What its user had set up, by VFIO index: whether the interrupts are enabled. Their eventfds go with a
  // client that stays connected; another one hands them in anew.
  std::vector<bool> interrupts;
  std::vector<std::byte> config;  // configuration space of a PCI device
  std::vector<std::byte> state;   // the device's own stream, which its driver reads
  std::optional<MovedClient> client;

  friend bool operator==(const MovedInstance&, const MovedInstance&) = default;
};

// Bounds a stream: it travels in one message of the control socket.
inline constexpr std::size_t moved_instance_max = 120 << 10;

// A stream of state_stream.h with the sections "inst" (UUID, parent, type), "irqs", "conf", "devc", and
// "sess" with a client. E2BIG above the bound.
Result<std::vector<std::byte>> to_stream(const MovedInstance& instance);
// EINVAL for what is not such a stream, whole and undamaged.
Result<MovedInstance> moved_instance_of(ConstBytes stream);

}  // namespace umdev::manage
