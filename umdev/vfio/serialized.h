// One call at a time inside a device whose driver cannot take more.
#pragma once

#include <memory>

#include "umdev/support/host.h"
#include "umdev/vfio/device_wrapper.h"

namespace umdev::vfio {

// The core lets several calls into a device at once; this lets one in, and queues the others. No lock is held
// while a call is inside: a call that completes later occupies the device until it has completed and its
// function has returned. A call that finds the device free and nobody in front of it runs on the caller's
// thread and allocates nothing; a queued one runs on the executor, in the order of arrival, so that nobody
// serves another's calls and no driver is entered from inside its own completion.
//
// What returns its answer (set_irqs, mmap, device_feature, ioctl) cannot be queued: it goes in before what is
// queued, after the function that is inside has returned (functions do not block, so this is short). While an
// access is uncompleted it is EBUSY instead, since nothing may wait for a driver's completion; from inside
// the device itself it is EDEADLK.
//
// name, match, pins_memory and the info calls are not serialised. dma_unmap() of a user that the device is
// not open for is dropped: it has no pins.
//
// The queue is bounded by what the core lets through: Limits::accesses_per_file.
class Serialized final : public DeviceWrapper {
 public:
  // `executor` must outlive every call; it is the device's host's, as a rule.
  Serialized(std::unique_ptr<Device> inner, Executor& executor);
  ~Serialized() override;

  // ^Device
  void open_device(User& user, Done<> done) override;
  void close_device(User& user, Done<> done) override;
  void read(ReadRequest request) override;
  void write(WriteRequest request) override;
  void reset(User& user, Done<> done) override;
  Result<> set_irqs(User& user, IrqRequest& request) override;
  Result<std::vector<IoEventFd>> io_event_fds(User& user, std::uint32_t region) override;
  Result<std::vector<MmapExtent>> mmap(User& user, const MmapRequest& request) override;
  void request(unsigned count) override;
  void dma_unmap(User& user, iommu::IovaRange range) override;
  Result<std::vector<std::byte>> device_feature(User& user, const FeatureRequest& request) override;
  Result<std::uint32_t> ioctl(User& user, IoctlRequest request) override;

 private:
  class Turns;
  const std::shared_ptr<Turns> turns_;
};

}  // namespace umdev::vfio
