// A serial card that is open, and a user with eventfds.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "drivers/mtty/mtty.h"
#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"

namespace umdev::mtty {

inline constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
inline constexpr std::uint32_t intx = abi::vfio_pci_intx_irq_index;
inline constexpr std::uint32_t msi = abi::vfio_pci_msi_irq_index;

class Card {
 public:
  explicit Card(unsigned ports = 2) : device(Mtty::create(ports)), user(*device) { open(); }
  ~Card() { close(); }

  void open() {
    test::Outcome<> outcome;
    device->open_device(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  void close() {
    test::Outcome<> outcome;
    device->close_device(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  void reset() {
    test::Outcome<> outcome;
    device->reset(user, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }

  // A register of a port.
  std::uint8_t in(unsigned port, std::uint8_t offset) {
    return test::read_register<std::uint8_t>(*device, user, port, offset).value();
  }
  void out(unsigned port, std::uint8_t offset, unsigned value) {
    EXPECT_TRUE(test::write_register(*device, user, port, offset, static_cast<std::uint8_t>(value)));
  }
  template <std::unsigned_integral T>
  T config_read(std::uint64_t offset) {
    return test::read_register<T>(*device, user, config, offset).value();
  }
  template <std::unsigned_integral T>
  void config_write(std::uint64_t offset, T value) {
    EXPECT_TRUE(test::write_register<T>(*device, user, config, offset, value));
  }
  void unmask() { EXPECT_TRUE(user.irq().none(abi::vfio_irq_set_action_unmask, intx)); }

  const std::unique_ptr<vfio::Device> device;
  test::FakeUser user;
};

}  // namespace umdev::mtty
