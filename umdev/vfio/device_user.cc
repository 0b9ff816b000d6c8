#include "umdev/vfio/device_user.h"

#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// VFIO_PIN_PAGES_MAX_ENTRIES: as many page pointers as fit into a page.
static constexpr std::uint64_t pin_size_max = 512 * iommu::page_size;

namespace {

IrqLayout irq_layout(const RegisteredDevice& device) {
  const bool pci = (device.device().info().flags & abi::vfio_device_flags_pci) != 0;
  return pci ? IrqLayout::pci : IrqLayout::other;
}

std::shared_ptr<MigrationMachine> machine_for(RegisteredDevice& device) {
  Migration* const migration = driver_call([&] { return device.device().migration(); });
  return migration == nullptr ? nullptr : std::make_shared<MigrationMachine>(*migration, device);
}

}  // namespace

DeviceUser::DeviceUser(std::shared_ptr<RegisteredDevice> device, ContainerUser container_user,
                       const std::vector<IrqInfo>& irqs, std::uint64_t id)
    : device_(std::move(device)),
      container_user_(std::move(container_user)),
      container_(container_user_.container()),
      iommu_(container_user_.iommu()),
      virtual_machine_(container_user_.file()->virtual_machine()),
      irqs_(irqs, device_->watcher(), irq_layout(*device_)),
      migration_(machine_for(*device_)),
      id_(id) {}

DeviceUser::~DeviceUser() {
  UMDEV_ASSERT(!attached_, "a device user went away without its close");
}

Result<iommu::DmaPin> DeviceUser::pin(iommu::IovaRange range, iommu::Access access) {
  if (!device_->device().pins_memory()) return fail(EINVAL, "a device without dma_unmap cannot pin");
  if (range.size > pin_size_max) return fail(E2BIG, "more than 512 pages in one pin");
  if (device_->group()->iommu_group().device_count() > 1)
    return fail(EINVAL, "a group of more than one device cannot pin");
  return iommu_->pin(*this, range, access);
}

void DeviceUser::dma_read(iommu::Iova iova, Bytes into, Done<> done) {
  iommu_->dma_read(*this, iova, into, std::move(done));
}

void DeviceUser::dma_write(iommu::Iova iova, ConstBytes from, Done<> done) {
  iommu_->dma_write(*this, iova, from, std::move(done));
}

void DeviceUser::dma_unmap(iommu::IovaRange range) {
  const auto stay = device_->enter();
  if (!device_->device().pins_memory()) return;
  driver_call([&] { device_->device().dma_unmap(*this, range); });
}

void DeviceUser::pins_revoked(iommu::IovaRange) {
  device_->fault("it did not unpin memory that its user unmapped");
}

void DeviceUser::attach() {
  attached_ = true;
  iommu_->register_user(*this);
}

void DeviceUser::detach() {
  attached_ = false;
  irqs_.disable_all();
  iommu_->unregister_user(*this);
  container_user_.release();
}

}  // namespace umdev::vfio
