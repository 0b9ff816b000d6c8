#include "umdev/vfio/publisher.h"

#include "umdev/vfio/group.h"

namespace umdev::vfio {
namespace {

// The kernel allocates these majors as it likes; ours are the ones that a Debian 12 machine shows as a rule.
constexpr std::uint32_t group_major = 242;

}  // namespace

Result<std::unique_ptr<Publisher>> Publisher::create(device::Model& model) {
  auto groups = UMDEV_TRY(device::Class::create(model, "vfio"));
  auto devices = UMDEV_TRY(device::Class::create(model, "vfio-dev"));
  return std::unique_ptr<Publisher>(new Publisher(model, std::move(groups), std::move(devices)));
}

Result<std::shared_ptr<device::Device>> Publisher::publish_group(const Group& group,
                                                                 std::shared_ptr<device::EventBatch> events) {
  auto node = std::make_shared<device::Device>(
      model_, device::Device::Spec{.name = group.name(),
                                   .device_class = groups_,
                                   .number = device::DeviceNumber{.major = group_major,
                                                                  .minor = group.minor(),
                                                                  .node_name = "vfio/" + group.name(),
                                                                  .node_mode = {}}});
  node->hold_events(std::move(events));
  UMDEV_TRY(node->add());
  return node;
}

Result<std::shared_ptr<device::Device>> Publisher::publish_device(
    const std::shared_ptr<device::Device>& parent, std::uint32_t index) {
  auto node = std::make_shared<device::Device>(
      model_, device::Device::Spec{
                  .name = "vfio" + std::to_string(index), .parent = parent, .device_class = devices_});
  UMDEV_TRY(node->add());
  return node;
}

}  // namespace umdev::vfio
