#include "drivers/null/null.h"

#include <algorithm>

namespace umdev::null {
namespace {

// A vendor id that emulators use and nobody owns; a class that fits no other.
constexpr pci::Identity identity{.vendor = 0x1234,
                                 .device = 0x6e75,
                                 .subsystem_vendor = 0x1234,
                                 .subsystem = 0x6e75,
                                 .class_code = 0xff0000,
                                 .revision = 1};
constexpr std::uint64_t memory_size = 4096;

}  // namespace

pci::ModelRef Null::make_model() {
  pci::ConfigLayout layout;
  layout.identify(identity);
  layout.add_bar(0, {.kind = pci::Bar::Kind::memory32, .size = memory_size});
  return pci::share(pci::Model(std::move(layout)));
}

Result<> Null::bar_read(vfio::User&, std::uint32_t, std::uint64_t, Bytes into) {
  std::ranges::fill(into, std::byte{0});
  return {};
}

Result<> Null::bar_write(vfio::User&, std::uint32_t, std::uint64_t, ConstBytes) {
  return {};
}

}  // namespace umdev::null
