#include "drivers/null/parent.h"

namespace umdev::null {

mdev::ParentSpec NullParent::spec(std::uint32_t instances) {
  return {.device = {},
          .types = {{.name = "1",
                     .pretty_name = "Null device",
                     .description = "a page of memory that reads zero and forgets what is written",
                     .device_api = abi::vfio_device_api_pci_string,
                     .cost = {{"instances", 1}}}},
          .resources = {{"instances", instances}},
          .max_instances = {}};
}

void NullParent::create(const mdev::CreateRequest&, const mdev::Type&, DeviceHost&,
                        Done<std::unique_ptr<vfio::Device>> done) {
  done(std::make_unique<Null>(model_, users_max_));
}

}  // namespace umdev::null
