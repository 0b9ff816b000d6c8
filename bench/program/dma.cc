// Copies by a DMA engine of the I/OAT kind, as its driver makes them: a chain of descriptors, queued at once,
// and an interrupt at the end.
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>

#include "bench/program/measurements.h"
#include "bench/program/vfio_device.h"

namespace umdev::bench {
namespace {

// Registers of the engine, and of its channel 0.
constexpr std::uint64_t interrupt_control = 0x03;
constexpr std::uint64_t channel_control = 0x80;
constexpr std::uint64_t channel_command = 0x84;
constexpr std::uint64_t channel_count = 0x86;
constexpr std::uint64_t channel_status = 0x88;
constexpr std::uint64_t channel_chain = 0x90;
constexpr std::uint64_t status_done = 1;
constexpr std::uint32_t descriptor_interrupts = 1;

constexpr std::uint64_t ring_iova = std::uint64_t{1} << 32;
constexpr std::uint64_t source_iova = std::uint64_t{2} << 32;
constexpr std::uint64_t destination_iova = std::uint64_t{3} << 32;
// More than the processor's nearest caches hold, so that a copy is one of memory.
constexpr std::size_t buffer_size = std::size_t{32} << 20;

struct Descriptor {
  std::uint32_t size = 0;
  std::uint32_t control = 0;
  std::uint64_t source = 0;
  std::uint64_t destination = 0;
  std::uint64_t next = 0;
  std::array<std::uint64_t, 4> rest{};
};

class Engine {
 public:
  explicit Engine(const std::string& name)
      : device_(open_device(name)),
        registers_(offset_of(device_, VFIO_PCI_BAR0_REGION_INDEX)),
        event_(take_interrupt(device_, VFIO_PCI_MSIX_IRQ_INDEX)),
        ring_(reinterpret_cast<Descriptor*>(take_memory(MemoryKind::shared, ring_size))) {
    const std::uint16_t memory_and_bus_master = 6;
    const std::uint64_t config = offset_of(device_, VFIO_PCI_CONFIG_REGION_INDEX);
    must_succeed(::pwrite(device_.device, &memory_and_bus_master, 2, static_cast<off_t>(config + 4)),
                 "PCI_COMMAND");
    put<std::uint8_t>(interrupt_control, 0x09);
    map_dma(device_, ring_, ring_iova, ring_size);
  }

  const VfioDevice& device() const { return device_; }

  // Copies the whole source in pieces of that size.
  void prepare(std::size_t piece) {
    const std::size_t count = buffer_size / piece;
    for (std::size_t i = 0; i < count; ++i)
      ring_[i] = {.size = static_cast<std::uint32_t>(piece),
                  .control = i + 1 == count ? descriptor_interrupts : 0,
                  .source = source_iova + i * piece,
                  .destination = destination_iova + i * piece,
                  .next = ring_iova + (i + 1) % count * sizeof(Descriptor)};
    count_ = static_cast<std::uint16_t>(count);
  }

  void copy() {
    put<std::uint16_t>(channel_control, 1);  // arms the interrupt
    put<std::uint64_t>(channel_chain, ring_iova);
    put<std::uint16_t>(channel_count, count_);
    std::uint64_t events = 0;
    must_succeed(::read(event_, &events, sizeof events), "the interrupt");
    std::uint64_t status = 0;
    must_succeed(::pread(device_.device, &status, sizeof status, at(channel_status)), "CHANSTS");
    must_succeed((status & 7) == status_done ? 0 : -1, "the engine's copy");
  }

  void reset() { put<std::uint8_t>(channel_command, 0x20); }

 private:
  static constexpr std::size_t ring_size = std::size_t{1} << 20;

  off_t at(std::uint64_t offset) const { return static_cast<off_t>(registers_ + offset); }
  template <typename T>
  void put(std::uint64_t offset, T value) {
    must_succeed(::pwrite(device_.device, &value, sizeof value, at(offset)), "a register");
  }

  const VfioDevice device_;
  const std::uint64_t registers_;
  const int event_;
  Descriptor* const ring_;
  std::uint16_t count_ = 0;
};

struct Buffers {
  const char* name;
  std::byte* source;
  std::byte* destination;
};

void measure_copies(const Effort& effort, Engine& engine, const Buffers& buffers, std::size_t piece) {
  const auto by_engine = [&engine](std::size_t) { engine.copy(); };
  const auto by_processor = [&buffers, piece](std::size_t) {
    for (std::size_t i = 0; i < buffer_size; i += piece)
      std::memcpy(buffers.destination + i, buffers.source + i, piece);
  };
  engine.prepare(piece);
  // Times of one byte.
  const std::array operations{Operation{.run = by_engine, .times = buffer_size},
                              Operation{.run = by_processor, .times = buffer_size}};
  const auto samples = measure(effort, operations);
  say(std::to_string(piece / 1024) + " KiB, " + buffers.name + ", limit: memcpy", samples[0], samples[1]);
}

}  // namespace

void measure_dma(const Effort& effort, const std::string& name) {
  constexpr std::array<std::size_t, 3> pieces{std::size_t{4} << 10, std::size_t{64} << 10,
                                              std::size_t{1} << 20};
  std::byte* const shared = take_memory(MemoryKind::shared, 2 * buffer_size);
  std::byte* const own = take_memory(MemoryKind::own, 2 * buffer_size);
  const std::array buffers{Buffers{"a file's memory", shared, shared + buffer_size},
                           Buffers{"from its own memory to a file's", own, shared + buffer_size},
                           Buffers{"from a file's memory to its own", shared, own + buffer_size},
                           Buffers{"its own memory", own, own + buffer_size}};
  Engine engine(name);
  for (const Buffers& each : buffers) {
    map_dma(engine.device(), each.source, source_iova, buffer_size);
    map_dma(engine.device(), each.destination, destination_iova, buffer_size);
    engine.reset();
    for (const std::size_t piece : pieces) measure_copies(effort, engine, each, piece);
    std::memset(each.source, 2, buffer_size);
    engine.copy();
    must_succeed(std::memcmp(each.source, each.destination, buffer_size) == 0 ? 0 : -1, "the copy's bytes");
    unmap_dma(engine.device(), source_iova, buffer_size);
    unmap_dma(engine.device(), destination_iova, buffer_size);
  }
}

}  // namespace umdev::bench
