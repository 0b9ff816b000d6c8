#include "umdev/vfio/device_user.h"

#include "umdev/vfio/device_wrapper.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/iommufd_steps.h"
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
  // Whose state would it be?
  if (device.device().users_max() > 1) return nullptr;
  Migration* const migration = driver_call([&] { return device.device().migration(); });
  return migration == nullptr ? nullptr : std::make_shared<MigrationMachine>(*migration, device);
}

// Null for a device without a log of its own.
LogsDma* own_log_of(RegisteredDevice& device) {
  auto* const logs = facet_of<LogsDma>(device.device());
  return logs != nullptr && driver_call([&] { return logs->has_dma_log(); }) ? logs : nullptr;
}

// To be watched, every writable pin takes a list entry, and every write an allocation. A device that pins
// pays that only if it can move.
std::shared_ptr<iommu::WriteTracker> tracker_for(RegisteredDevice& device) {
  Device& driver = device.device();
  const bool watched = own_log_of(device) != nullptr ||
                       driver_call([&] { return driver.migration() != nullptr || !driver.pins_memory(); });
  return watched ? std::make_shared<iommu::WriteTracker>() : nullptr;
}

std::unique_ptr<DmaLogging> logging_for(RegisteredDevice& device,
                                        const std::shared_ptr<iommu::WriteTracker>& tracker) {
  Migration* const migration = driver_call([&] { return device.device().migration(); });
  LogsDma* const own = own_log_of(device);
  const bool logs =
      own != nullptr || (migration != nullptr && driver_call([&] { return migration->logs_dma(); }));
  return logs ? std::make_unique<DmaLogging>(tracker, device.limits(), own) : nullptr;
}

std::shared_ptr<IommufdSteps> steps_for(const std::shared_ptr<RegisteredDevice>& device,
                                        const DeviceClaim& claim) {
  if (claim.iommufd() || !claim.container()->iommufd() || !IommufdSteps::asks(*device))
    return claim.iommufd();
  return std::make_shared<IommufdSteps>(device, claim.container()->iommufd(), IommufdSteps::Way::group);
}

// An error after which memory may have been written in part.
bool may_have_written(const Result<>& result) {
  if (result) return true;
  const int code = result.error().code;
  return code != EINVAL && code != EPERM && code != EOVERFLOW && code != ENOTTY;
}

}  // namespace

DeviceUser::DeviceUser(std::shared_ptr<RegisteredDevice> device, DeviceClaim claim,
                       const std::vector<IrqInfo>& irqs, std::uint64_t id)
    : device_(std::move(device)),
      pins_memory_(device_->device().pins_memory()),
      iommu_group_(device_->group()->iommu_group()),
      claim_(std::move(claim)),
      iommufd_(steps_for(device_, claim_)),
      iommu_(iommufd_ ? iommufd_->access() : claim_.iommu()),
      virtual_machine_(claim_.virtual_machine()),
      irqs_(irqs, device_->watcher(), irq_layout(*device_), &device_->eventfd_trust()),
      io_events_(*device_, *this, device_->watcher()),
      migration_(machine_for(*device_)),
      tracker_(tracker_for(*device_)),
      logging_(logging_for(*device_, tracker_)),
      id_(id) {}

DeviceUser::~DeviceUser() {
  UMDEV_ASSERT(!attached_, "a device user went away without its close");
}

Result<iommu::DmaPin> DeviceUser::pin(iommu::IovaRange range, iommu::Access access) {
  const bool allowed = pins_memory_ && range.size <= pin_size_max && iommu_group_.device_count() <= 1;
  if (allowed && !tracker_) [[likely]]
    return iommu_->pin(*this, range, access);
  return pin_with_care(range, access);
}

Result<iommu::DmaPin> DeviceUser::pin_with_care(iommu::IovaRange range, iommu::Access access) {
  if (!pins_memory_) return fail(EINVAL, "a device without dma_unmap cannot pin");
  if (range.size > pin_size_max) return fail(E2BIG, "more than 512 pages in one pin");
  if (iommu_group_.device_count() > 1) return fail(EINVAL, "a group of more than one device cannot pin");
  auto pin = UMDEV_TRY(iommu_->pin(*this, range, access));
  return tracker_ ? tracker_->hold(std::move(pin)) : std::move(pin);
}

void DeviceUser::dma_read(iommu::Iova iova, Bytes into, Done<> done) {
  iommu_->dma_read(*this, iova, into, std::move(done));
}

void DeviceUser::dma_write(iommu::Iova iova, ConstBytes from, Done<> done) {
  if (!tracker_) return iommu_->dma_write(*this, iova, from, std::move(done));
  struct Writing {
    std::shared_ptr<iommu::WriteTracker> tracker;
    iommu::IovaRange range;
    Done<> done;
  };
  auto writing = std::make_shared<Writing>(tracker_, iommu::IovaRange{.iova = iova, .size = from.size()},
                                           std::move(done));
  iommu_->dma_write(*this, iova, from, [writing](Result<> result) {
    if (writing->range.valid() && may_have_written(result)) writing->tracker->wrote(writing->range);
    writing->done(std::move(result));
  });
}

void DeviceUser::dma_unmap(iommu::IovaRange range) {
  const auto stay = device_->enter();
  if (!pins_memory_) return;  // not every back end asks pins()
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
  io_events_.clear();
  irqs_.disable_all();
  if (iommufd_) iommufd_->close();
  iommu_->unregister_user(*this);
  if (iommufd_) iommufd_->give_back();
  claim_.release();
}

}  // namespace umdev::vfio
