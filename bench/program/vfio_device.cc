#include "bench/program/vfio_device.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace umdev::bench {
namespace {

std::uint64_t address_of(const void* memory) {
  return reinterpret_cast<std::uint64_t>(memory);
}

}  // namespace

long must_succeed(long result, const char* what) {
  if (result >= 0) return result;
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

VfioDevice open_device(const std::string& name) {
  VfioDevice opened{.name = name};
  const auto group = std::filesystem::read_symlink("/sys/bus/mdev/devices/" + name + "/iommu_group");
  const std::string node = "/dev/vfio/" + group.filename().string();
  opened.container = static_cast<int>(must_succeed(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), "open"));
  opened.group = static_cast<int>(must_succeed(::open(node.c_str(), O_RDWR | O_CLOEXEC), node.c_str()));
  must_succeed(::ioctl(opened.group, VFIO_GROUP_SET_CONTAINER, &opened.container), "SET_CONTAINER");
  must_succeed(::ioctl(opened.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
  opened.device = static_cast<int>(
      must_succeed(::ioctl(opened.group, VFIO_GROUP_GET_DEVICE_FD, name.c_str()), "GET_DEVICE_FD"));
  return opened;
}

std::uint64_t offset_of(const VfioDevice& device, std::uint32_t region) {
  vfio_region_info info{.argsz = sizeof info, .flags = 0, .index = region};
  must_succeed(::ioctl(device.device, VFIO_DEVICE_GET_REGION_INFO, &info), "GET_REGION_INFO");
  return info.offset;
}

void map_dma(const VfioDevice& device, const void* memory, std::uint64_t iova, std::size_t size) {
  vfio_iommu_type1_dma_map map{.argsz = sizeof map,
                               .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                               .vaddr = address_of(memory),
                               .iova = iova,
                               .size = size};
  must_succeed(::ioctl(device.container, VFIO_IOMMU_MAP_DMA, &map), "MAP_DMA");
}

void unmap_dma(const VfioDevice& device, std::uint64_t iova, std::size_t size) {
  vfio_iommu_type1_dma_unmap unmap{.argsz = sizeof unmap, .flags = 0, .iova = iova, .size = size};
  must_succeed(::ioctl(device.container, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA");
}

int take_interrupt(const VfioDevice& device, std::uint32_t index) {
  const int event = static_cast<int>(must_succeed(::eventfd(0, EFD_CLOEXEC), "eventfd"));
  alignas(vfio_irq_set) std::array<std::byte, sizeof(vfio_irq_set) + sizeof event> words{};
  const vfio_irq_set set{.argsz = words.size(),
                         .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                         .index = index,
                         .start = 0,
                         .count = 1};
  std::memcpy(words.data(), &set, sizeof set);
  std::memcpy(words.data() + sizeof set, &event, sizeof event);
  must_succeed(::ioctl(device.device, VFIO_DEVICE_SET_IRQS, words.data()), "SET_IRQS");
  return event;
}

std::byte* take_memory(MemoryKind kind, std::size_t size) {
  int file = -1;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (kind == MemoryKind::shared) {
    flags = MAP_SHARED;
    file = static_cast<int>(must_succeed(::memfd_create("umdev-bench", MFD_CLOEXEC), "memfd_create"));
    must_succeed(::ftruncate(file, static_cast<off_t>(size)), "ftruncate");
  }
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file, 0);
  must_succeed(memory == MAP_FAILED ? -1 : 0, "mmap");
  std::memset(memory, 1, size);
  return static_cast<std::byte*>(memory);
}

}  // namespace umdev::bench
