// gauge.c as a native driver: a platform device with registers that are called, memory that is mapped, an
// interrupt, and transfers from and to its user's memory; and attributes of its instances. What a user sees
// of the two is the same at every door, byte for byte.
#pragma once

#include <atomic>
#include <map>
#include <memory>

#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"
#include "umdev/os/mapping.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/mutex.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/device.h"
#include "umdev/vfio/device_table.h"

namespace umdev::gauge {

// What the attributes of an instance show.
struct Shown {
  std::atomic<std::uint32_t> level = 0;
  std::atomic<std::uint32_t> count = 0;
};

// Any thread.
class Gauge final : public vfio::Device {
 public:
  static Result<std::unique_ptr<Gauge>> create(std::shared_ptr<Shown> shown);

  // ^vfio::Device
  std::string_view name() const override { return "vfio-gauge"; }
  vfio::DeviceInfo info() const override;
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override;
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override;
  void close_device(vfio::User& user, Done<> done) override UMDEV_EXCLUDES(mutex_);
  void read(vfio::ReadRequest request) override UMDEV_EXCLUDES(mutex_);
  void write(vfio::WriteRequest request) override UMDEV_EXCLUDES(mutex_);
  void reset(vfio::User& user, Done<> done) override UMDEV_EXCLUDES(mutex_);
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User& user, const vfio::MmapRequest& request) override;

 private:
  struct Registers {
    std::uint32_t scratch = 0;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    std::uint32_t status = 0;
  };
  struct Transfer;

  Gauge(std::shared_ptr<Shown> shown, os::UniqueFd fd, os::Mapping memory)
      : shown_(std::move(shown)), fd_(std::move(fd)), memory_(std::move(memory)) {}
  Result<std::uint64_t> read_register(std::uint64_t at) const UMDEV_REQUIRES(mutex_);
  Result<> write_register(std::uint64_t at, std::uint64_t value) UMDEV_REQUIRES(mutex_);
  void command(vfio::WriteRequest request, std::uint32_t command) UMDEV_EXCLUDES(mutex_);
  void transfer(vfio::WriteRequest request, bool give) UMDEV_EXCLUDES(mutex_);
  void end_transfer(Transfer& transfer, Result<> result) UMDEV_EXCLUDES(mutex_);
  void clear() UMDEV_EXCLUDES(mutex_);

  // Its bytes are a user's as well, who may have it mapped.
  const std::shared_ptr<Shown> shown_;
  const os::UniqueFd fd_;
  os::Mapping memory_;
  mutable Mutex mutex_;
  Registers registers_ UMDEV_GUARDED_BY(mutex_);
};

class GaugeParent final : public mdev::ParentDriver {
 public:
  static mdev::ParentSpec spec();

  // Null when the instance is going.
  std::shared_ptr<Shown> find(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override UMDEV_EXCLUDES(mutex_);
  device::AttributeGroups instance_groups() const override;

 private:
  mutable Mutex mutex_;
  std::map<Uuid, std::weak_ptr<Shown>> shown_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::gauge
