// A device as a VFIO program has it, by the kernel's interface alone.
#pragma once

#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace umdev::bench {

// Ends the program with a line for people when what a system call has returned says that it has failed.
long must_succeed(long result, const char* what);

struct VfioDevice {
  std::string name;
  int container = -1;
  int group = -1;
  int device = -1;
};

// Opens the device of that name (a UUID), whose group the tree tells, in a container of its own (type1v2).
VfioDevice open_device(const std::string& name);
// Where a region begins among the offsets of the device's file.
std::uint64_t offset_of(const VfioDevice& device, std::uint32_t region);

void map_dma(const VfioDevice& device, const void* memory, std::uint64_t iova, std::size_t size);
void unmap_dma(const VfioDevice& device, std::uint64_t iova, std::size_t size);

// An eventfd (blocking) that an interrupt signals.
int take_interrupt(const VfioDevice& device, std::uint32_t index);

enum class MemoryKind : std::uint8_t { shared, own };
// Zeros, all of them present; a file's, or this process's own. For as long as the program runs.
std::byte* take_memory(MemoryKind kind, std::size_t size);

}  // namespace umdev::bench
