// Configuration space under reads and writes of any size at any offset, held against a plain model: a byte,
// the bits of it that a write sets, the bits that writing 1 clears. What the specifications say of whole
// registers (identity, status, BARs, the list of capabilities) is asked beside it after each step.
//
// The input: what the function looks like (2 bytes), then steps: which, offset (2 bytes), size or value.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/support/fuzz/step_reader.h"
#include "umdev/pci/config_space.h"

namespace umdev::pci {
namespace {

using test::StepReader;

// Every kind of register that a driver can ask for, as the input chooses.
ConfigLayout make_layout(StepReader& reader) {
  const std::uint8_t looks = reader.byte();
  const std::uint8_t size = reader.byte();
  ConfigLayout layout((looks & 1) != 0 ? abi::pci_cfg_space_exp_size : abi::pci_cfg_space_size);
  layout.identify({.vendor = 0x1af4,
                   .device = 0x1042,
                   .subsystem_vendor = 0x1af4,
                   .subsystem = 2,
                   .class_code = 0x070002,
                   .revision = 1});
  layout.add_bar(0, {.kind = Bar::Kind::io, .size = 8ULL << (size & 3)});
  layout.add_bar(1, {.kind = Bar::Kind::memory32, .size = 4096ULL << (size >> 4)});
  if ((looks & 2) != 0)
    layout.add_bar(2,
                   {.kind = Bar::Kind::memory64, .size = 1ULL << (12 + (size >> 3)), .prefetchable = true});
  if ((looks & 4) != 0) layout.add_rom(2048U << (size & 7));
  if ((looks & 8) != 0) layout.add_interrupt_pin(1);
  if ((looks & 16) != 0) layout.add_power_management();
  if ((looks & 32) != 0)
    layout.add_msi(
        {.vectors = 1U << (size & 3), .address_64bit = (size & 8) != 0, .maskable = (size & 4) != 0});
  if ((looks & 64) != 0)
    layout.add_msix({.vectors = 1U + size, .table_bar = 1, .pba_bar = 1, .pba_offset = 2048});
  if ((looks & 128) != 0) layout.add_vendor_capability(bytes_of(std::uint64_t{0x1122334455667788}));
  if (layout.size() == abi::pci_cfg_space_exp_size) {
    layout.add_express({.integrated = (size & 1) != 0, .function_level_reset = (size & 2) != 0});
    layout.add_error_reporting();
  }
  return layout;
}

// A byte at a time, from the layout's three tables.
class Model {
 public:
  explicit Model(const ConfigLayout& layout)
      : layout_(layout), values_(layout.image().begin(), layout.image().end()) {}

  bool fits(std::uint64_t offset, std::uint64_t size) const {
    return offset <= values_.size() && size <= values_.size() - offset;
  }
  void write(std::size_t offset, ConstBytes from) {
    for (std::size_t at = 0; at < from.size(); ++at)
      for (int bit = 0; bit < 8; ++bit) write_bit(offset + at, std::byte{1} << bit, from[at]);
  }
  ConstBytes values() const { return values_; }
  void reset() { values_.assign(layout_.image().begin(), layout_.image().end()); }
  void set(std::size_t offset, std::byte value) { values_.at(offset) = value; }

 private:
  void write_bit(std::size_t at, std::byte bit, std::byte written) {
    const bool one = (written & bit) != std::byte{0};
    if ((layout_.writable()[at] & bit) != std::byte{0})
      values_[at] = one ? values_[at] | bit : values_[at] & ~bit;
    if ((layout_.write_1_clears()[at] & bit) != std::byte{0} && one) values_[at] &= ~bit;
  }

  const ConfigLayout& layout_;
  std::vector<std::byte> values_;
};

class Comparison {
 public:
  Comparison(const ConfigLayout& layout, StepReader& reader)
      : layout_(layout), reader_(reader), space_(layout), model_(layout) {}

  void run() {
    constexpr int steps_max = 1000;
    for (int step = 0; step < steps_max && !reader_.at_end(); ++step) {
      take_step();
      check_registers();
    }
    check_read(0, layout_.size());
  }

 private:
  void take_step() {
    const std::uint8_t which = reader_.byte();
    std::uint64_t offset = reader_.little_endian(2);
    // Mostly inside; now and then just before or far behind the end.
    if (which < 0xf0) offset %= layout_.size() + 8U;
    if (which >= 0xfc) offset = ~offset;
    switch (which % 8) {
      case 0:
        space_.reset();
        return model_.reset();
      case 1: {
        // What the device does itself is not asked whether it may.
        if (!model_.fits(offset, 1)) return;
        const std::uint8_t value = reader_.byte();
        space_.set_value<std::uint8_t>(static_cast<std::uint16_t>(offset), value);
        return model_.set(offset, std::byte{value});
      }
      case 2:
      case 3:
        return check_read(offset, reader_.little_endian(1 + which % 2));
      default:
        return check_write(offset, reader_.bytes(reader_.byte() % 20));
    }
  }

  void check_read(std::uint64_t offset, std::uint64_t size) {
    std::vector<std::byte> bytes(size, std::byte{0xee});
    const bool read = space_.read(offset, bytes).has_value();
    UMDEV_ASSERT(read == model_.fits(offset, size), "a read that does not lie inside, or was refused");
    if (read)
      UMDEV_ASSERT(std::ranges::equal(bytes, model_.values().subspan(offset, size)), "other bytes are read");
    else
      UMDEV_ASSERT(std::ranges::count(bytes, std::byte{0xee}) == static_cast<std::ptrdiff_t>(size),
                   "a refused read has touched the buffer");
  }

  void check_write(std::uint64_t offset, ConstBytes from) {
    const std::vector<std::byte> before(model_.values().begin(), model_.values().end());
    const auto changes = space_.write(offset, from);
    UMDEV_ASSERT(changes.has_value() == model_.fits(offset, from.size()),
                 "a write that does not lie inside, or was refused");
    if (!changes) return;
    model_.write(offset, from);
    check_changes(before, *changes);
  }

  // Exactly the watched registers that differ are told, with what they were and are.
  void check_changes(ConstBytes before, const ConfigChanges& changes) {
    auto told = changes.begin();
    for (const ConfigLayout::Watch& watch : layout_.watches()) {
      const std::uint32_t was = value_in(before, watch);
      const std::uint32_t is = value_in(model_.values(), watch);
      if (was == is) continue;
      UMDEV_ASSERT(
          told != changes.end() && told->offset == watch.offset && told->before == was && told->after == is,
          "a change was not told, or another one");
      ++told;
    }
    UMDEV_ASSERT(told == changes.end(), "a change was told that was none");
  }
  static std::uint32_t value_in(ConstBytes bytes, const ConfigLayout::Watch& watch) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + watch.offset, watch.size);
    return value;
  }

  void check_registers() {
    for (std::uint32_t index = 0; index < abi::pci_std_num_bars; ++index) {
      const Bar& bar = layout_.bars().at(index);
      const std::uint64_t address = space_.bar_address(index);
      if (bar.kind == Bar::Kind::none) UMDEV_ASSERT(address == 0, "a BAR that is none has an address");
    }
    const auto command = *load_le<std::uint16_t>(model_.values(), abi::pci_command);
    UMDEV_ASSERT(space_.memory_enabled() == ((command & abi::pci_command_memory) != 0) &&
                     space_.io_enabled() == ((command & abi::pci_command_io) != 0) &&
                     space_.bus_master_enabled() == ((command & abi::pci_command_master) != 0),
                 "the command register says something else");
  }

  const ConfigLayout& layout_;
  StepReader& reader_;
  ConfigSpace space_;
  Model model_;
};

}  // namespace
}  // namespace umdev::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::test::StepReader reader(std::as_bytes(std::span(data, size)));
  const umdev::pci::ConfigLayout layout = umdev::pci::make_layout(reader);
  umdev::pci::Comparison(layout, reader).run();
  return 0;
}
