#include "drivers/mtty/mtty.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "umdev/support/assert.h"

namespace umdev::mtty {
namespace {

constexpr StreamTag card_tag("card");
constexpr std::uint16_t card_version = 1;

pci::Model make_model(unsigned ports) {
  pci::ConfigLayout layout;
  layout.identify({.vendor = spec::vendor_id,
                   .device = spec::device_id,
                   .subsystem_vendor = spec::vendor_id,
                   .subsystem = spec::device_id,
                   .class_code = spec::class_code,
                   .revision = spec::revision});
  for (unsigned port = 0; port < ports; ++port)
    layout.add_bar(port, {.kind = pci::Bar::Kind::io, .size = spec::uart_registers});
  layout.add_interrupt_pin(spec::interrupt_pin);
  // The card always decodes its ports: its command and cache line size registers are wired.
  layout.set<std::uint16_t>(abi::pci_command, abi::pci_command_io);
  layout.set<std::uint8_t>(abi::pci_cache_line_size, 0);
  layout.set<std::uint16_t>(abi::pci_status, abi::pci_status_devsel_medium);
  for (std::uint16_t at = 0; const std::uint8_t value : spec::vendor_register_values)
    layout.set<std::uint8_t>(spec::vendor_registers + at++, value);
  layout.set_text(spec::vendor_text, spec::vendor_text_value);

  pci::Model model(std::move(layout));
  // Offered to VFIO users without a capability that would show it to a guest.
  model.irq_counts[abi::vfio_pci_msi_irq_index] = 1;
  return model;
}

}  // namespace

std::unique_ptr<vfio::Device> Mtty::create(unsigned ports) {
  UMDEV_ASSERT(ports >= 1 && ports <= spec::ports_max, "the card has one port or two");
  return std::unique_ptr<Mtty>(new Mtty(ports));
}

Mtty::Mtty(unsigned ports)
    : PciDevice(pci::share(make_model(ports))), port_count_(ports), migration_(*this, ports) {}

// The ports are eight bits wide: a wider access is made of one access a byte, in ascending order.
Result<> Mtty::bar_read(vfio::User&, std::uint32_t bar, std::uint64_t offset, Bytes into) {
  if (bar >= spec::ports_max) return fail(EINVAL, "the card has no such BAR");
  Lock lock(mutex_);
  if (still_) return fail(EBUSY, "the card stands still to be moved");
  for (std::byte& byte : into) byte = std::byte{ports_[bar].read(static_cast<std::uint8_t>(offset++))};
  update_interrupt();
  return {};
}

Result<> Mtty::bar_write(vfio::User&, std::uint32_t bar, std::uint64_t offset, ConstBytes from) {
  if (bar >= spec::ports_max) return fail(EINVAL, "the card has no such BAR");
  Lock lock(mutex_);
  if (still_) return fail(EBUSY, "the card stands still to be moved");
  for (const std::byte byte : from)
    ports_[bar].write(static_cast<std::uint8_t>(offset++), std::to_integer<std::uint8_t>(byte));
  update_interrupt();
  return {};
}

void Mtty::function_reset() {
  Lock lock(mutex_);
  ports_ = {};
  update_interrupt();
}

void Mtty::stand_still(bool still) {
  Lock lock(mutex_);
  still_ = still;
  update_interrupt();
}

void Mtty::save(StreamWriter& stream) {
  Lock lock(mutex_);
  stream.begin(card_tag, card_version);
  for (unsigned port = 0; port < port_count_; ++port) stream.put_flag(interrupting_[port]);
  for (unsigned port = 0; port < port_count_; ++port) ports_[port].save(stream);
}

Result<> Mtty::load(StreamReader& stream) {
  std::array<Uart, spec::ports_max> ports;
  std::array<bool, spec::ports_max> interrupting{};
  SectionReader card = UMDEV_TRY(stream.take(card_tag, card_version));
  for (unsigned port = 0; port < port_count_; ++port) interrupting[port] = UMDEV_TRY(card.get_flag());
  UMDEV_TRY(card.end());
  for (unsigned port = 0; port < port_count_; ++port) {
    const SectionReader uart = UMDEV_TRY(stream.take(Uart::section_tag, Uart::section_version));
    ports[port] = UMDEV_TRY(Uart::load(uart));
  }
  UMDEV_TRY(stream.end());

  Lock lock(mutex_);
  ports_ = ports;
  interrupting_ = interrupting;
  return {};
}

// INTA is high while any port interrupts; a message is sent when a port begins to. The user has one of the
// two enabled at most, and only that is heard. The lock keeps raising and lowering in order.
void Mtty::update_interrupt() {
  if (still_) return;
  for (std::size_t port = 0; port < ports_.size(); ++port) {
    const bool before = std::exchange(interrupting_[port], ports_[port].interrupt());
    if (interrupting_[port] && !before) raise_irq(abi::vfio_pci_msi_irq_index);
  }
  if (std::ranges::any_of(interrupting_, std::identity()))
    raise_irq(abi::vfio_pci_intx_irq_index);
  else
    lower_irq(abi::vfio_pci_intx_irq_index);
}

}  // namespace umdev::mtty
