// One container's use of one device, as the core keeps it.
#pragma once

#include <memory>

#include "umdev/iommu/iommu_driver.h"
#include "umdev/vfio/device_claim.h"
#include "umdev/vfio/dma_logging.h"
#include "umdev/vfio/io_events.h"
#include "umdev/vfio/irq_set.h"
#include "umdev/vfio/migration_machine.h"
#include "umdev/vfio/user.h"

namespace umdev::vfio {

class IommufdSteps;
class RegisteredDevice;

// Holds the claim on the device (so its group cannot leave the container), the device's interrupts for this
// user, and the way to its memory. Shared by the device files and by accesses that a driver still has; made
// at the first open, closed at the last.
class DeviceUser final : public User, public iommu::DmaUser {
 public:
  DeviceUser(std::shared_ptr<RegisteredDevice> device, DeviceClaim claim, const std::vector<IrqInfo>& irqs,
             std::uint64_t id);
  ~DeviceUser() override;

  // ^User
  Result<iommu::DmaPin> pin(iommu::IovaRange range, iommu::Access access) override;
  void dma_read(iommu::Iova iova, Bytes into, Done<> done) override;
  void dma_write(iommu::Iova iova, ConstBytes from, Done<> done) override;
  bool copies_at_once(iommu::IovaRange range) const override { return iommu_->copies_at_once(range); }
  IrqSet& irqs() override { return irqs_; }
  std::uint64_t id() const override { return id_; }
  std::shared_ptr<VirtualMachine> virtual_machine() const override { return virtual_machine_; }

  // ^iommu::DmaUser
  bool pins() const override { return pins_memory_; }
  void dma_unmap(iommu::IovaRange range) override;
  void pins_revoked(iommu::IovaRange range) override;
  std::shared_ptr<iommu::WriteTracker> write_tracker() override { return tracker_; }

  // Null for a device that is bound to an iommufd.
  const std::shared_ptr<Container>& container() const { return claim_.container(); }
  RegisteredDevice& device() const { return *device_; }
  const std::shared_ptr<iommu::IommuInstance>& iommu() const { return iommu_; }
  // Null for a device whose memory is a container's: also where an iommufd is the container, unless the
  // device wants to be asked (BindsIommufd).
  const std::shared_ptr<IommufdSteps>& iommufd() const { return iommufd_; }
  IoEvents& io_events() { return io_events_; }
  // Null for a device that does not migrate.
  const std::shared_ptr<MigrationMachine>& migration() const { return migration_; }
  // Null for one whose DMA is not logged.
  DmaLogging* dma_logging() const { return logging_.get(); }

  // The core's steps round open_device and close_device: the IOMMU driver learns of the user, and forgets it
  // (revoking what it left pinned); then the container's use ends.
  void attach();
  void detach();

 private:
  // For one that is refused, or logged.
  Result<iommu::DmaPin> pin_with_care(iommu::IovaRange range, iommu::Access access);

  bool attached_ = false;  // the device set's queue only
  const std::shared_ptr<RegisteredDevice> device_;
  const bool pins_memory_;
  const IommuGroup& iommu_group_;
  DeviceClaim claim_;
  const std::shared_ptr<IommufdSteps> iommufd_;
  const std::shared_ptr<iommu::IommuInstance> iommu_;
  const std::shared_ptr<VirtualMachine> virtual_machine_;
  IrqSet irqs_;
  IoEvents io_events_;
  const std::shared_ptr<MigrationMachine> migration_;
  const std::shared_ptr<iommu::WriteTracker> tracker_;
  const std::unique_ptr<DmaLogging> logging_;
  const std::uint64_t id_;
};

}  // namespace umdev::vfio
