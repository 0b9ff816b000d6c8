#include "umdev/kernel/external_user.h"

#include <memory>

#include "umdev/abi/vfio.h"
#include "umdev/kernel/belongings.h"
#include "umdev/kernel/device_record.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/file_object.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/iommu_back_end.h"
#include "umdev/kernel/iommu_group.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"
#include "umdev/vfio/external_user.h"
#include "umdev/vfio/registered_device.h"

// An external user's use of a group, as its module has it.
// NOLINTNEXTLINE(readability-identifier-naming): the kernel's
struct vfio_group {
  umdev::vfio::ExternalUser user;
};

namespace umdev::kernel {
namespace {

World& world() {
  return current_call()->module->world();
}

std::shared_ptr<VfioRecord> record_of(vfio::RegisteredDevice& device) {
  const auto stay = device.enter();
  if (!device.try_get()) return nullptr;
  const auto* const of_module = dynamic_cast<const ModuleDevice*>(&device.device());
  auto record = of_module == nullptr ? nullptr : of_module->record();
  device.put();
  return record;
}

// Devices that are open hear of it at once; others find it when they are opened.
void set_machine(const vfio::Group& group, ::kvm* machine) {
  world().set_kvm(group.iommu_group().number(), machine);
  for (const auto& device : group.devices()) {
    const auto record = record_of(*device);
    if (!record) continue;
    const CallName name{
        .module = &record->module(), .callback = "group notifier", .device = record->name().c_str()};
    static_cast<void>(record->module().world().calls().ask(name, [record, machine](Call& call) -> Result<> {
      const Inside inside(call, *record);
      record->tell_kvm(machine);
      return {};
    }));
  }
}

}  // namespace

::file* group_file(::module* owner, ::device* dev) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (record == nullptr || !record->node) return nullptr;
  const auto found = world().core().find(*record->node);
  auto file = found ? found->group()->open_file() : nullptr;
  return file ? make_group_file(*static_cast<Module*>(owner->umdev), std::move(file)) : nullptr;
}

::vfio_group* vfio_group_acquire(::module* owner, ::device* dev, ::file* file) {
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (dev != nullptr && (record == nullptr || !record->node)) return error_pointer<::vfio_group>(ENODEV);
  auto user = dev != nullptr ? vfio::ExternalUser::acquire(world().core(), *record->node)
                             : vfio::ExternalUser::acquire(group_of(file));
  if (!user) return error_pointer<::vfio_group>(user.error().code);
  auto* const group = std::make_unique<::vfio_group>(std::move(*user)).release();
  static_cast<Module*>(owner->umdev)
      ->belongings()
      .add(group, "external user", "of group " + std::to_string(group->user.iommu_id()),
           [group] { vfio_group_release(group); });
  return group;
}

void vfio_group_release(::vfio_group* group) {
  const std::unique_ptr<::vfio_group> last(group);
  current_call()->module->belongings().remove(group);
}

int vfio_group_id(::vfio_group* group) {
  return static_cast<int>(group->user.iommu_id());
}

long vfio_group_check_extension(::vfio_group* group, unsigned long extension) {
  return group->user.check_extension(static_cast<std::uint32_t>(extension));
}

bool vfio_group_is_of_file(::vfio_group* group, ::file* file) {
  const auto of = group_of(file);
  return of && group->user.matches(*of);
}

::vfio_device* vfio_group_device(::vfio_group* group) {
  const auto devices = group->user.file()->group().devices();
  if (devices.size() != 1) return nullptr;
  const auto record = record_of(*devices.front());
  return record ? record->object() : nullptr;
}

void vfio_group_set_kvm(::vfio_group* group, ::kvm* machine) {
  set_machine(group->user.file()->group(), machine);
}

::iommu_group* vfio_file_iommu_group(::file* file) {
  const auto of = group_of(file);
  return of ? iommu_group_give(of->group().shared_iommu_group()) : nullptr;
}

bool vfio_file_has_dev(::file* file, ::vfio_device* object) {
  const auto of = group_of(file);
  if (!of) return false;
  for (const auto& device : of->group().devices()) {
    const auto record = record_of(*device);
    if (record && record->object() == object) return true;
  }
  return false;
}

// As of what is no group's file: nothing of it can be incoherent.
bool vfio_file_enforced_coherent(::file* file) {
  const auto of = group_of(file);
  const auto container = of ? of->container() : nullptr;
  return !container || container->check_extension(abi::vfio_dma_cc_iommu) > 0;
}

void vfio_file_set_kvm(::file* file, ::kvm* machine) {
  if (const auto of = group_of(file)) set_machine(of->group(), machine);
}

::iommu_domain* vfio_group_iommu_domain(::vfio_group* group) {
  const auto iommu = group->user.file()->container()->iommu();
  const auto* const back_end = iommu ? dynamic_cast<const IommuBackEnd*>(iommu->get()) : nullptr;
  if (back_end == nullptr) return error_pointer<::iommu_domain>(ENOTTY);
  const auto domain = back_end->domain_of(group->user.iommu_id());
  return domain ? *domain : error_pointer<::iommu_domain>(domain.error().code);
}

int vfio_on_kvm(::vfio_device* object, void (*tell)(void*, ::kvm*), void* data) {
  const auto record = VfioRecord::of(object);
  if (!record) return -EINVAL;
  return record->set_tell_kvm(tell, data) ? 0 : -EBUSY;
}

}  // namespace umdev::kernel
