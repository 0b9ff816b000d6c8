#include "umdev/kernel/iommu_group.h"

#include <cstdlib>
#include <memory>

#include "umdev/kernel/device_record.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/vfio_record.h"

namespace umdev::kernel {
namespace {

World& world() {
  return current_call()->module->world();
}

}  // namespace

::iommu_group* iommu_group_give(std::shared_ptr<vfio::IommuGroup> group) {
  const std::uint32_t number = group->number();
  return std::make_unique<::iommu_group>(std::move(group), number).release();
}

::iommu_group* iommu_group_alloc() {
  auto made = world().core().create_iommu_group("", vfio::IommuGroup::Kind::physical);
  if (!made) return error_pointer<::iommu_group>(made.error().code);
  return iommu_group_give(std::move(*made));
}

::iommu_group* iommu_group_get(::device* dev, bool allow_no_iommu) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (record == nullptr || !record->node) return nullptr;
  auto group = world().core().iommu_group_of(record->node, allow_no_iommu);
  return group ? iommu_group_give(std::move(group)) : nullptr;
}

void iommu_group_put(::iommu_group* group) {
  const std::unique_ptr<::iommu_group> last(group);
}

int iommu_group_add_device(::iommu_group* group, ::device* dev) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (record == nullptr || !record->node || !group->group) return -EINVAL;
  const auto added = world().core().add_to_iommu_group(group->group, record->node);
  return added ? 0 : -added.error().code;
}

void iommu_group_remove_device(::device* dev) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (record != nullptr && record->node) world().core().remove_from_iommu_group(record->node);
}

int iommu_group_id(::iommu_group* group) {
  return static_cast<int>(group->number);
}

// --- VFIO devices by their struct device.

int vfio_add_group_dev(::device* dev, const ::umdev_data_ops* ops, void* data, unsigned rules) {
  auto* const object = static_cast<::vfio_device*>(std::calloc(1, sizeof(::vfio_device)));
  if (object == nullptr) return -ENOMEM;
  int answer = vfio_init_data(object, dev, ops, data, rules);
  if (answer == 0) answer = vfio_register_device(object, false);
  if (answer == 0) return 0;
  vfio_uninit_device(object);
  std::free(object);
  return answer;
}

void* vfio_del_group_dev(::device* dev) {
  const auto record = world().vfio_devices().find(dev);
  if (!record) return nullptr;
  ::vfio_device* const object = record->object();
  void* const data = vfio_device_data(object);
  vfio_unregister_device(object);
  vfio_uninit_device(object);
  std::free(object);
  return data;
}

::vfio_device* vfio_device_get_from_dev(::device* dev) {
  const auto record = world().vfio_devices().find(dev);
  return record && record->hold() ? record->object() : nullptr;
}

void vfio_device_put(::vfio_device* object) {
  if (const auto record = VfioRecord::of(object)) record->let_go();
}

void* vfio_device_data(::vfio_device* object) {
  const auto record = VfioRecord::of(object);
  const DataOps* const with = record ? std::get_if<DataOps>(&record->callbacks()) : nullptr;
  return with == nullptr ? nullptr : with->self;
}

}  // namespace umdev::kernel
