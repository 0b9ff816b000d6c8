// The server as it is (endpoints, connections, sessions, the core under them) with many clients and
// everything that goes wrong: short reads and sends, EAGAIN, clients that vanish at any byte, slow devices,
// descriptors and mappings that run out, files that shrink, devices and sockets that are taken away. One
// thread, a clock that the simulation moves, sockets in memory (tests/support/fake_os): the same seed is the
// same run, to the byte.
//
// After every step what can be seen is held against plain models: each client's answers in their order
// (tests/support/vfio_user/client_model.h), its mappings, the pins of its device, what a device copied;
// sessions and counters of the server. At the end nothing may be left: mapping, pin, timer, session,
// descriptor.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/vfio_user/client_model.h"

namespace umdev::simulation {

struct Options {
  std::uint64_t seed = 1;
  std::uint32_t steps = 1500;
  // In the model, to see that a difference is found; the product has no such switch.
  test::ClientModel::Defect defect = test::ClientModel::Defect::none;
};

struct Outcome {
  bool good = true;
  std::string what;  // the difference, and the step that it was seen at
  std::uint32_t step = 0;
  // Of everything that clients received: equal for equal runs.
  std::uint64_t digest = 0;
  std::uint64_t clients = 0;
  std::uint64_t answers = 0;
};

Outcome simulate(const Options& options);

}  // namespace umdev::simulation
