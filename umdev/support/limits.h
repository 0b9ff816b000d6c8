// Every limit of the framework, in one table. What a client can make grow is bounded here;
// docs/threat-model.md says why each number is what it is.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace umdev {

struct Limits {
  // iommu: mappings of one container, as type1's dma_entry_limit.
  std::uint32_t mappings_per_container = 65535;
  // iommu: pins that one device user may hold at once.
  std::uint32_t pins_per_user = 65536;
  // vfio: group minors, as MINORMASK + 1.
  std::uint32_t group_minors = 1U << 20;
  // vfio: how long an access, an open or a close may take before the device is faulted.
  std::chrono::nanoseconds access_deadline = std::chrono::seconds(30);
  // vfio: how often a device is asked to let go while it is being removed, and after how long a forced
  // removal stops waiting.
  std::chrono::nanoseconds request_period = std::chrono::seconds(10);
  std::chrono::nanoseconds force_deadline = std::chrono::seconds(5);
  // vfio: after how long a removal that waits for its users cuts them off after all.
  std::chrono::nanoseconds remove_deadline = std::chrono::hours(1);
  // iommu: how long an unmap waits for the last pin before the device is faulted.
  std::chrono::nanoseconds unmap_deadline = std::chrono::seconds(10);
  // iommu: ranges of one dirty log (as many as the kernel takes), and the bitmap of one report.
  std::uint32_t dirty_ranges = 256;
  std::uint64_t dirty_bitmap_bytes = 256ULL << 20;
  // vfio: accesses of one device file that wait for their driver at once.
  std::uint32_t accesses_per_file = 64;
  // vfio: eventfds of one IRQ index.
  std::uint32_t vectors_per_index = 2048;
  // mdev: instances in the whole daemon.
  std::uint32_t instances = 1U << 20;
};

}  // namespace umdev
