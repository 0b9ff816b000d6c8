// A DMA engine that is open, its user with memory and eventfds, and a driver's small steps.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "drivers/ioat/ioat.h"
#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"
#include "tests/support/test_host.h"

namespace umdev::ioat {

inline constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
inline constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
inline constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;
inline constexpr std::uint32_t msix = abi::vfio_pci_msix_irq_index;

// Where the user's memory is: a ring of descriptors, the word that completions are written to, and data.
inline constexpr std::uint64_t ring = 0x100000;
inline constexpr std::uint64_t status_word = 0x200000;
inline constexpr std::uint64_t data = 0x1000000;
inline constexpr std::size_t ring_size = 64;
inline constexpr std::size_t data_size = 4U << 20;

inline constexpr std::uint32_t fill = std::uint32_t{spec::operation_fill} << spec::control_operation_shift;

class Rig {
 public:
  explicit Rig(unsigned channels = 1) : device(Ioat::create(channels, host)), user(*device) {
    ring_bytes = user.map(ring, ring_size * spec::descriptor_size);
    status_bytes = user.map(status_word, 4096);
    data_bytes = user.map(data, data_size);
    open();
  }
  ~Rig() { close(); }

  void open() {
    test::Outcome<> outcome;
    device->open_device(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
    config_write<std::uint16_t>(abi::pci_command, abi::pci_command_memory | abi::pci_command_master);
  }
  void close() { expect_quiet(&vfio::Device::close_device); }
  void reset() { expect_quiet(&vfio::Device::reset); }

  template <std::unsigned_integral T>
  T get(std::uint64_t offset) {
    return test::read_register<T>(*device, user, 0, offset).value();
  }
  template <std::unsigned_integral T>
  void set(std::uint64_t offset, T value) {
    EXPECT_TRUE(test::write_register<T>(*device, user, 0, offset, value));
  }
  // A register of a channel.
  static std::uint64_t of(unsigned channel, std::uint64_t offset) {
    return (channel + 1) * spec::channel_size + offset;
  }
  template <std::unsigned_integral T>
  T config_read(std::uint64_t offset) {
    return test::read_register<T>(*device, user, config, offset).value();
  }
  template <std::unsigned_integral T>
  void config_write(std::uint64_t offset, T value) {
    EXPECT_TRUE(test::write_register<T>(*device, user, config, offset, value));
  }

  // Descriptor number `index` of the ring, which goes on to the next one unless it says otherwise.
  void put(std::size_t index, Descriptor descriptor) {
    if (descriptor.next == 0) descriptor.next = ring + (index + 1) % ring_size * spec::descriptor_size;
    const Bytes at = ring_bytes.subspan(index * spec::descriptor_size, spec::descriptor_size);
    EXPECT_TRUE(store_le(at, spec::descriptor_size_field, descriptor.size));
    EXPECT_TRUE(store_le(at, spec::descriptor_control, descriptor.control));
    EXPECT_TRUE(store_le(at, spec::descriptor_source, descriptor.source));
    EXPECT_TRUE(store_le(at, spec::descriptor_destination, descriptor.destination));
    EXPECT_TRUE(store_le(at, spec::descriptor_next, descriptor.next));
  }
  // What a driver does before it queues anything.
  void arm(unsigned channel = 0, std::uint64_t chain = ring) {
    set<std::uint64_t>(of(channel, spec::chancmp), status_word + 64 * channel);
    set<std::uint16_t>(of(channel, spec::chanctrl), 0x1d);
    set<std::uint64_t>(of(channel, spec::chainaddr), chain);
  }
  void queue(std::uint16_t count, unsigned channel = 0) {
    set<std::uint16_t>(of(channel, spec::dmacount), count);
  }
  // Turns and accesses to memory, until nothing is left to do.
  void run() {
    while (host.run() + user.run_dma() > 0) {
    }
  }
  spec::State state(unsigned channel = 0) {
    return spec::State{static_cast<std::uint8_t>(get<std::uint64_t>(of(channel, spec::chansts)) & 7)};
  }
  std::uint64_t last(unsigned channel = 0) {
    return get<std::uint64_t>(of(channel, spec::chansts)) & spec::chansts_address;
  }
  std::uint32_t error(unsigned channel = 0) { return get<std::uint32_t>(of(channel, spec::chanerr)); }
  std::uint64_t written_status(unsigned channel = 0) {
    return *load_le<std::uint64_t>(status_bytes, 64 * channel);
  }
  static std::uint64_t descriptor(std::size_t index) { return ring + index * spec::descriptor_size; }

  test::TestHost host;
  const std::unique_ptr<vfio::Device> device;
  test::FakeUser user;
  Bytes ring_bytes, status_bytes, data_bytes;

 private:
  void expect_quiet(void (vfio::Device::*what)(vfio::User&, Done<>)) {
    test::Outcome<> outcome;
    (*device.*what)(user, outcome.done());
    run();
    EXPECT_TRUE(outcome.succeeded());
    EXPECT_EQ(user.pin_count(), 0U);
  }
};

}  // namespace umdev::ioat
