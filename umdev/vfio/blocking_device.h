// A thread for a device whose driver blocks.
#pragma once

#include <memory>

#include "umdev/support/host.h"
#include "umdev/vfio/device_wrapper.h"

namespace umdev::vfio {

// Calls open_device, close_device, read, write, reset, request and dma_unmap of the device inside on one
// thread of its own, one after the other in the order of arrival, so that they may block (on a file, a
// network, a library) without holding up anybody but the users of this device. The inner device may complete
// an access later; the thread goes on with the next call then. The thread exists while the device is open.
//
// What returns its answer (set_irqs, mmap, device_feature, ioctl, the info calls) is called on the caller's
// thread, at the same time as the thread's call, and so must not block.
//
// At most `queue_limit` reads, writes and resets wait; more are EAGAIN. dma_unmap() of a user that the device
// is not open for is dropped: it has no pins.
//
// open_device and close_device complete on the executor: whoever hears of the last close may destroy the
// device, which the thread could not do to itself. Accesses and resets complete on the thread.
//
// A call that takes longer than its deadline faults the device, as everywhere. Destruction waits for the call
// that the thread is in and drops what is queued (EIO, ECANCELED): the core never destroys a device with
// calls under way, and one whose call is stuck for good it abandons instead.
class BlockingDevice final : public DeviceWrapper {
 public:
  static constexpr std::size_t default_queue_limit = 256;

  // `executor` must outlive every call; it is the device's host's, as a rule.
  BlockingDevice(std::unique_ptr<Device> inner, Executor& executor,
                 std::size_t queue_limit = default_queue_limit);
  // Not on the device's own thread.
  ~BlockingDevice() override;

  // ^Device
  // EAGAIN when the system has no thread left.
  void open_device(User& user, Done<> done) override;
  void close_device(User& user, Done<> done) override;
  void read(ReadRequest request) override;
  void write(WriteRequest request) override;
  void reset(User& user, Done<> done) override;
  void request(unsigned count) override;
  void dma_unmap(User& user, iommu::IovaRange range) override;

 private:
  class Worker;
  struct ReadCall;
  struct WriteCall;
  struct ResetCall;
  const std::shared_ptr<Worker> worker_;
};

}  // namespace umdev::vfio
