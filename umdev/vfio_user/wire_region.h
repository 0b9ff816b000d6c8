// REGION_INFO as this wire has it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/support/bytes.h"
#include "umdev/vfio/device.h"

namespace umdev::vfio_user {

// The complete answer: the structure, the capabilities behind it, and the descriptor (the device's, -1 for
// none) that goes with it.
struct WireRegion {
  abi::VfioUserRegionInfo info{};
  std::vector<std::byte> capabilities;
  int fd = -1;
};

// Puts a region into the wire's form: one descriptor, an offset in it, and areas. A region whose memory
// cannot be said so (several files, pieces in another order than in the region, or none at all) is not
// mappable for this client, which reads and writes it by messages.
WireRegion make_wire_region(std::uint32_t index, const vfio::RegionInfo& region,
                            std::span<const vfio::MmapExtent> extents);

// What of it is sent to a client that takes `argsz` bytes.
struct RegionReply {
  abi::VfioUserRegionInfo info{};
  ConstBytes capabilities;  // of the region that it was made of
  bool with_fd = false;
};
RegionReply fit_region_reply(const WireRegion& region, std::uint32_t argsz);

}  // namespace umdev::vfio_user
