#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <iostream>

#include "bench/program/measurements.h"
#include "bench/program/vfio_device.h"

namespace umdev::bench {
namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;
constexpr std::uint64_t iova = std::uint64_t{1} << 32;

void call_getppid() {
  ::syscall(SYS_getppid);
}

// One call of ours beside one of the machine's.
void compare(const Effort& effort, const char* name, std::function<void()> ours,
             std::function<void()> machines) {
  const std::array operations{Operation{.run = [&ours](std::size_t) { ours(); }},
                              Operation{.run = [&machines](std::size_t) { machines(); }}};
  const auto samples = measure(effort, operations);
  say(name, samples[0], samples[1]);
}

// Of a call that takes less than looking at the clock does.
double turn_median(const Effort& effort, std::function<void()> call) {
  constexpr std::size_t batch = 64;
  const Operation operation{.run =
                                [&call](std::size_t times) {
                                  for (std::size_t i = 0; i < times; ++i) call();
                                },
                            .times = batch};
  return measure(effort, std::span(&operation, 1)).front().median();
}

// The channel's mask of errors: what is written has no effect on anything else.
constexpr off_t mask_in_bar = 0x80 + 0x2c;

void measure_registers(const Effort& effort, const VfioDevice& device) {
  const auto config = static_cast<off_t>(offset_of(device, VFIO_PCI_CONFIG_REGION_INDEX));
  const auto bar = static_cast<off_t>(offset_of(device, VFIO_PCI_BAR0_REGION_INDEX));
  const int memory = static_cast<int>(must_succeed(::memfd_create("umdev-bench", MFD_CLOEXEC), "memfd"));
  must_succeed(::ftruncate(memory, 4096), "ftruncate");
  const std::uint16_t memory_and_bus_master = 6;
  must_succeed(::pwrite(device.device, &memory_and_bus_master, 2, config + 4), "PCI_COMMAND");
  const off_t mask = bar + mask_in_bar;
  std::uint32_t value = 0;
  compare(
      effort, "pread of 4 bytes, limit: of a memfd",
      [&] { must_succeed(::pread(device.device, &value, sizeof value, mask), "pread"); },
      [&] { must_succeed(::pread(memory, &value, sizeof value, 0), "pread"); });
  compare(
      effort, "pwrite of 4 bytes, limit: to a memfd",
      [&] { must_succeed(::pwrite(device.device, &value, sizeof value, mask), "pwrite"); },
      [&] { must_succeed(::pwrite(memory, &value, sizeof value, 0), "pwrite"); });
}

void measure_mapping(const Effort& effort, const VfioDevice& device, MemoryKind kind, const char* name) {
  std::byte* const memory = take_memory(kind, 2 * megabyte);
  compare(
      effort, name,
      [&] {
        map_dma(device, memory, iova, 2 * megabyte);
        unmap_dma(device, iova, 2 * megabyte);
      },
      [] {
        void* const mapped =
            ::mmap(nullptr, 2 * megabyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must_succeed(mapped == MAP_FAILED ? -1 : ::munmap(mapped, 2 * megabyte), "mmap");
      });
}

// The same register, mapped. From here on the program is traced.
void measure_mapped_registers(const Effort& effort, const VfioDevice& device) {
  const auto bar = static_cast<off_t>(offset_of(device, VFIO_PCI_BAR0_REGION_INDEX));
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device.device, bar);
  must_succeed(mapped == MAP_FAILED ? -1 : 0, "mmap of registers");
  auto* const mask = reinterpret_cast<volatile std::uint32_t*>(static_cast<std::byte*>(mapped) + mask_in_bar);
  std::uint32_t value = 0;
  compare(
      effort, "load of a mapped register, limit: pread of it", [&] { value = *mask; },
      [&] { must_succeed(::pread(device.device, &value, sizeof value, bar + mask_in_bar), "pread"); });
  compare(
      effort, "store to a mapped register, limit: pwrite to it", [&] { *mask = value; },
      [&] { must_succeed(::pwrite(device.device, &value, sizeof value, bar + mask_in_bar), "pwrite"); });
}

}  // namespace

void measure_calls(const Effort& effort, const std::string& name) {
  const VfioDevice device = open_device(name);
  compare(
      effort, "ioctl without an argument, limit: getppid",
      [&] { must_succeed(::ioctl(device.container, VFIO_GET_API_VERSION), "GET_API_VERSION"); },
      call_getppid);
  compare(
      effort, "ioctl with a structure, limit: getppid",
      [&] {
        vfio_device_info info{.argsz = sizeof info};
        must_succeed(::ioctl(device.device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
      },
      call_getppid);
  measure_registers(effort, device);
  compare(
      effort, "GET_DEVICE_FD and close, limit: open and close",
      [&] {
        const long fd =
            must_succeed(::ioctl(device.group, VFIO_GROUP_GET_DEVICE_FD, name.c_str()), "GET_DEVICE_FD");
        must_succeed(::close(static_cast<int>(fd)), "close");
      },
      [] {
        const long fd = must_succeed(::open("/dev/null", O_RDWR | O_CLOEXEC), "open");
        must_succeed(::close(static_cast<int>(fd)), "close");
      });
  measure_mapping(effort, device, MemoryKind::shared,
                  "MAP_DMA and UNMAP_DMA of 2 MiB, a file's, limit: mmap, munmap");
  measure_mapping(effort, device, MemoryKind::own,
                  "MAP_DMA and UNMAP_DMA of 2 MiB, its own, limit: mmap, munmap");
  measure_mapped_registers(effort, device);
}

void measure_untouched(const Effort& effort) {
  std::array<int, 2> ends{};
  must_succeed(::pipe2(ends.data(), O_CLOEXEC), "pipe");
  const int memory = static_cast<int>(must_succeed(::memfd_create("umdev-bench", MFD_CLOEXEC), "memfd"));
  must_succeed(::ftruncate(memory, 4096), "ftruncate");
  std::uint32_t value = 0;
  int count = 0;
  const std::array<std::pair<const char*, std::function<void()>>, 5> calls{{
      {"getppid", call_getppid},
      {"pread of a memfd", [&] { must_succeed(::pread(memory, &value, sizeof value, 0), "pread"); }},
      {"ioctl of a pipe", [&] { must_succeed(::ioctl(ends[0], FIONREAD, &count), "FIONREAD"); }},
      {"mmap and munmap, private",
       [] {
         void* const mapped =
             ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         must_succeed(mapped == MAP_FAILED ? -1 : ::munmap(mapped, 4096), "mmap");
       }},
      {"open and close",
       [] {
         const long fd = must_succeed(::open("/dev/null", O_RDWR | O_CLOEXEC), "open");
         must_succeed(::close(static_cast<int>(fd)), "close");
       }},
  }};
  for (std::string line; std::getline(std::cin, line);) {
    for (const auto& [name, call] : calls) {
      Samples turn;
      turn.add(turn_median(effort, call));
      say(name, turn, {});
    }
    std::cout << std::endl;
  }
}

}  // namespace umdev::bench
