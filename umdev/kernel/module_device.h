// A module's VFIO device as the core has it: the core's questions in the kernel's words.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "umdev/kernel/device_answers.h"
#include "umdev/kernel/module_migration.h"
#include "umdev/kernel/vfio_record.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/binds_iommufd.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/each_file.h"
#include "umdev/vfio/logs_dma.h"

namespace umdev::kernel {

// The kernel's core asks a driver by ioctl what the device is; this asks so once, when it is opened, and
// remembers. Reads, writes, opens, closes and resets may wait in the module; what the core needs an answer to
// at once (SET_IRQS, mmap, ioctl, features) has the world's answer limit. Bounds are checked by the core, by
// what the driver itself has said of its regions: drivers of the kernel often do not.
class ModuleDevice final : public vfio::Device,
                           public vfio::EachFile,
                           public vfio::LogsDma,
                           public vfio::BindsIommufd {
 public:
  // `migration`: null for a device that has none.
  ModuleDevice(std::shared_ptr<VfioRecord> record, std::unique_ptr<ModuleMigration> migration)
      : record_(std::move(record)), migration_(std::move(migration)) {}

  const std::shared_ptr<VfioRecord>& record() const { return record_; }

  // ^vfio::Device
  std::string_view name() const override { return record_->driver_name(); }
  vfio::DeviceInfo info() const override UMDEV_EXCLUDES(mutex_);
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override UMDEV_EXCLUDES(mutex_);
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override UMDEV_EXCLUDES(mutex_);
  void open_device(vfio::User& user, Done<> done) override;
  void close_device(vfio::User& user, Done<> done) override;
  void read(vfio::ReadRequest request) override;
  void write(vfio::WriteRequest request) override;
  void reset(vfio::User& user, Done<> done) override;
  Result<> set_irqs(vfio::User& user, vfio::IrqRequest& request) override;
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User& user, const vfio::MmapRequest& request) override;
  bool pins_memory() const override;
  void dma_unmap(vfio::User& user, iommu::IovaRange range) override;
  void request(unsigned count) override;
  int match(std::string_view registered_name, std::string_view name) const override;
  Result<> match_token(const std::optional<Uuid>& token) const override;
  vfio::Migration* migration() override { return migration_.get(); }
  Result<std::vector<std::byte>> device_feature(vfio::User& user,
                                                const vfio::FeatureRequest& request) override;
  Result<std::uint32_t> ioctl(vfio::User& user, vfio::IoctlRequest request) override;

  // ^vfio::EachFile. Up to 5.14 the driver's open and release are for each file.
  void open_file(vfio::User& user, Done<> done) override;
  void close_file(vfio::User& user, Done<> done) override;

  // ^vfio::LogsDma. The callbacks of log_ops.
  bool has_dma_log() const override { return record_->object()->log_ops != nullptr; }
  Result<std::uint64_t> start_dma_log(std::span<const iommu::IovaRange> ranges,
                                      std::uint64_t page_size) override;
  Result<> stop_dma_log() override;
  Result<> read_dma_log(iommu::IovaRange range, std::uint64_t page_size, Bytes bitmap) override;

  // ^vfio::BindsIommufd. The callbacks bind_iommufd and its like (module_iommufd.cc).
  bool binds_iommufd() const override { return record_->iommufd_ops().has_value(); }
  void bind_iommufd(std::shared_ptr<vfio::IommufdUse> use, Done<std::uint32_t> done) override;
  void unbind_iommufd(Done<> done) override;
  void attach_ioas(std::uint32_t object, Done<std::uint32_t> done) override;
  void detach_ioas(Done<> done) override;
  bool attaches_pasids() const override;
  void attach_pasid(std::uint32_t pasid, std::uint32_t object, Done<std::uint32_t> done) override;
  void detach_pasid(std::uint32_t pasid, Done<> done) override;

 private:
  struct OpenTask;
  struct FileTask;
  struct CloseTask;
  template <typename Request>
  struct AccessTask;
  struct ResetTask;
  struct AskTask;
  friend struct OpenTask;

  CallName call_name(const char* callback) const;
  template <typename T, typename Body>
  void take_step(const char* callback, Body body, Done<T> done);
  void hold_pages(std::span<::page* const> pages) UMDEV_EXCLUDES(mutex_);
  void forget_user() UMDEV_EXCLUDES(mutex_);

  const std::shared_ptr<VfioRecord> record_;
  const std::unique_ptr<ModuleMigration> migration_;
  mutable Mutex mutex_;
  DeviceAnswers answers_ UMDEV_GUARDED_BY(mutex_);
  std::vector<::page*> mapped_pages_ UMDEV_GUARDED_BY(mutex_);  // in the order of their addresses
  // Where each region begins in the driver's file. Changes only while the device is open for nobody.
  std::vector<std::uint64_t> region_offsets_;
};

}  // namespace umdev::kernel
