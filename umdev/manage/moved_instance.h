// Everything of an instance that goes with it to another place, and its stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/support/uuid.h"

namespace umdev::manage {

struct MovedInstance {
  Uuid uuid;
  std::string parent;  // the source's name for it
  std::string type;    // "mtty-2": its parent's driver and the type
  // What its user had set up, by VFIO index: whether the interrupts are enabled. Their eventfds cannot
  // travel: the client hands them in anew.
  std::vector<bool> interrupts;
  std::vector<std::byte> config;  // configuration space of a PCI device
  std::vector<std::byte> state;   // the device's own stream, which its driver reads

  friend bool operator==(const MovedInstance&, const MovedInstance&) = default;
};

// Bounds a stream: it travels in one message of the control socket.
inline constexpr std::size_t moved_instance_max = 120 << 10;

// A stream of state_stream.h with the sections "inst" (UUID, parent, type), "irqs", "conf" and "devc". E2BIG
// above the bound.
Result<std::vector<std::byte>> to_stream(const MovedInstance& instance);
// EINVAL for what is not such a stream, whole and undamaged.
Result<MovedInstance> moved_instance_of(ConstBytes stream);

}  // namespace umdev::manage
