#include "drivers/ioat/parent.h"

#include <string>

#include "drivers/ioat/ioat.h"

namespace umdev::ioat {
namespace {

mdev::TypeSpec type_with(unsigned channels, std::string pretty_name) {
  return {.name = std::to_string(channels),
          .pretty_name = std::move(pretty_name),
          .description = "I/OAT DMA engine, channels: " + std::to_string(channels),
          .device_api = abi::vfio_device_api_pci_string,
          .cost = {{"channels", channels}}};
}

// Its virtual functions' channels are taken with it, so that they can be had whenever they are enabled.
mdev::TypeSpec physical_function() {
  return {.name = "sriov",
          .pretty_name = "DMA engine with virtual functions",
          .description = "I/OAT DMA engine, channels: 1, virtual functions of one channel: " +
                         std::to_string(spec::virtual_functions),
          .device_api = abi::vfio_device_api_pci_string,
          .cost = {{"channels", 1 + spec::virtual_functions}}};
}

}  // namespace

mdev::ParentSpec IoatParent::spec(std::uint32_t channels) {
  return {.device = {},
          .types = {type_with(1, "DMA engine"), type_with(4, "DMA engine with four channels"),
                    physical_function()},
          .resources = {{"channels", channels}},
          .max_instances = {}};
}

void IoatParent::create(const mdev::CreateRequest&, const mdev::Type& type, DeviceHost& host,
                        Done<std::unique_ptr<vfio::Device>> done) {
  const bool is_physical = type.spec().name == "sriov";
  done(Ioat::create(type.spec().name == "4" ? 4 : 1, host,
                    is_physical ? Ioat::Kind::physical : Ioat::Kind::plain));
}

}  // namespace umdev::ioat
