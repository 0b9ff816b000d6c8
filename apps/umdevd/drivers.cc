#include "apps/umdevd/drivers.h"

#include <array>

#include "drivers/ioat/parent.h"
#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"

namespace umdev::daemon {
namespace {

constexpr std::array ioat_options{DriverOption{.key = "channels",
                                               .fallback = ioat::IoatParent::default_channels,
                                               .min = 1,
                                               .max = 65536,
                                               .meaning = "DMA channels"}};
constexpr std::array mtty_options{DriverOption{.key = "ports",
                                               .fallback = mtty::MttyParent::default_ports,
                                               .min = 1,
                                               .max = 65536,
                                               .meaning = "serial ports"}};
constexpr std::array null_options{
    DriverOption{.key = "instances",
                 .fallback = null::NullParent::default_instances,
                 .min = 1,
                 .max = 1U << 20,
                 .meaning = "instances at a time"},
    DriverOption{
        .key = "users", .fallback = 1, .min = 1, .max = 1024, .meaning = "clients of an instance at a time"}};

// A new driver is a line here, and a link edge in CMakeLists.txt.
constexpr std::array drivers{
    DriverEntry{.name = "ioat",
                .options = ioat_options,
                .make = [](std::span<const std::uint32_t> values) -> MadeParent {
                  return {ioat::IoatParent::spec(values[0]), std::make_unique<ioat::IoatParent>()};
                }},
    DriverEntry{.name = "mtty",
                .options = mtty_options,
                .make = [](std::span<const std::uint32_t> values) -> MadeParent {
                  return {mtty::MttyParent::spec(values[0]), std::make_unique<mtty::MttyParent>()};
                }},
    DriverEntry{.name = "null",
                .options = null_options,
                .make = [](std::span<const std::uint32_t> values) -> MadeParent {
                  return {null::NullParent::spec(values[0]), std::make_unique<null::NullParent>(values[1])};
                }},
};

}  // namespace

std::span<const DriverEntry> all_drivers() {
  return drivers;
}

const DriverEntry* find_driver(std::string_view name) {
  for (const DriverEntry& driver : drivers)
    if (driver.name == name) return &driver;
  return nullptr;
}

}  // namespace umdev::daemon
