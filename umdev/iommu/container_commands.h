// What a back end may answer for itself of a container's file: its commands as the user gave them, and what
// else can be done with a file. A back end of the kernel's is nothing but this (struct
// vfio_iommu_driver_ops); those of ours have calls of their own for each command (iommu_driver.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"

namespace umdev::iommu {

// The memory of whoever calls, by addresses that mean something there. Used by one thread at a time, not
// always the same; a process that has died meanwhile has no memory.
class CallerMemory {
 public:
  virtual ~CallerMemory() = default;
  // All or nothing: EFAULT.
  virtual Result<> read(std::uint64_t address, Bytes into) = 0;
  virtual Result<> write(std::uint64_t address, ConstBytes from) = 0;
};

// `length` bytes from `position` on, counted from the begin of a mapping, are those of `fd` from `fd_offset`
// on. The descriptor stays the back end's.
struct ContainerExtent {
  std::uint64_t position = 0;
  int fd = -1;
  std::uint64_t fd_offset = 0;
  std::uint64_t length = 0;
};

// Implemented beside IommuInstance, by back ends that want it. Any thread.
class ContainerCommands {
 public:
  ContainerCommands() = default;
  ContainerCommands(const ContainerCommands&) = delete;
  ContainerCommands& operator=(const ContainerCommands&) = delete;
  virtual ~ContainerCommands() = default;

  // Every command but GET_API_VERSION, CHECK_EXTENSION and SET_IOMMU. Completes with the ioctl's result.
  virtual void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<CallerMemory> memory,
                     Done<std::int32_t> done) = 0;
  // Up to 5.15 a container could be read, written and mapped. `owner` keeps the buffer.
  virtual void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner,
                    Done<std::size_t> done) = 0;
  virtual void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                     Done<std::size_t> done) = 0;
  virtual Result<std::vector<ContainerExtent>> mmap(std::uint64_t offset, std::uint64_t length,
                                                    bool writable) = 0;
  // The container's file is closed; its groups may use it for longer (VFIO_IOMMU_CONTAINER_CLOSE).
  virtual void container_closed() = 0;
};

}  // namespace umdev::iommu
