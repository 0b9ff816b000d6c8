#include "drivers/mtty/parent.h"

#include <string>

#include "drivers/mtty/mtty.h"
#include "umdev/mdev/instance.h"

namespace umdev::mtty {
namespace {

Result<std::string> show_sample_mdev_dev(device::Device& device, const device::DeviceAttribute&) {
  return "This is MDEV " + mdev::Instance::from(device).uuid().to_string() + "\n";
}

constexpr device::DeviceAttribute vendor_attributes[] = {
    {.name = "sample_mdev_dev", .show = show_sample_mdev_dev}};
constexpr device::AttributeGroup vendor{.name = "vendor", .attributes = vendor_attributes};
constexpr const device::AttributeGroup* groups[] = {&vendor};

mdev::TypeSpec type_with(unsigned ports, std::string pretty_name) {
  return {.name = std::to_string(ports),
          .pretty_name = std::move(pretty_name),
          .description = {},
          .device_api = abi::vfio_device_api_pci_string,
          .cost = {{"ports", ports}}};
}

}  // namespace

mdev::ParentSpec MttyParent::spec(std::uint32_t ports) {
  return {.device = {},
          .types = {type_with(1, "Single port serial"), type_with(2, "Dual port serial")},
          .resources = {{"ports", ports}},
          .max_instances = {}};
}

void MttyParent::create(const mdev::CreateRequest&, const mdev::Type& type, DeviceHost&,
                        Done<std::unique_ptr<vfio::Device>> done) {
  done(Mtty::create(type.spec().name == "2" ? 2 : 1));
}

device::AttributeGroups MttyParent::instance_groups() const {
  return groups;
}

}  // namespace umdev::mtty
