// Memory of a program that is nobody's but its own: devices reach it by copying.
#pragma once

#include <memory>

#include "umdev/iommu/backing.h"
#include "umdev/os/process.h"
#include "umdev/uapi/memory_copier.h"

namespace umdev::uapi {

// What lies at `base` of a process. It belongs to the memory that the process had when this was made: after
// an execve() every access is EFAULT. Nothing is pinned: what the process unmaps meanwhile is EFAULT too,
// what it maps there instead is what a device sees. Thread-safe. A copy is over when the call returns.
class CopiedMemory final : public iommu::Backing {
 public:
  static Result<std::shared_ptr<CopiedMemory>> create(std::shared_ptr<MemoryCopier> copier,
                                                      std::shared_ptr<os::Process> process,
                                                      std::uint64_t base);

  // ^iommu::Backing
  Bytes mapped() override { return {}; }
  void read(std::uint64_t offset, Bytes into, Done<> done) override;
  void write(std::uint64_t offset, ConstBytes from, Done<> done) override;
  bool copies_at_once() const override { return true; }

 private:
  CopiedMemory(std::shared_ptr<MemoryCopier> copier, std::shared_ptr<os::Process> process, std::uint64_t base,
               os::UniqueFd memory)
      : copier_(std::move(copier)), process_(std::move(process)), base_(base), memory_(std::move(memory)) {}
  Result<> check_life() const;

  const std::shared_ptr<MemoryCopier> copier_;
  const std::shared_ptr<os::Process> process_;
  const std::uint64_t base_;
  const os::UniqueFd memory_;  // /proc/PID/mem, which stands for one address space
};

}  // namespace umdev::uapi
