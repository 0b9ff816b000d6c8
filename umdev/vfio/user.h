// What a device knows of whoever uses it: memory and interrupts.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/iommu/dma_pin.h"
#include "umdev/support/bytes.h"
#include "umdev/support/done.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::vfio {

class VirtualMachine;

// One container's use of one device, from before open_device() to after close_device(). The framework
// implements it; a driver may keep the reference between those two. Safe from any thread.
class User {
 public:
  virtual ~User() = default;

  // Makes a range of the user's memory reachable by pointer until the pin is dropped.
  // EINVAL not mapped (or the device has no dma_unmap, see Device::pins_memory); EPERM not mapped for this
  // access; EOPNOTSUPP memory that cannot be mapped: use dma_read and dma_write; EFAULT memory that went bad;
  // ENOMEM over the limit; ENOTTY a back end that cannot pin; E2BIG more than 512 pages at once.
  virtual Result<iommu::DmaPin> pin(iommu::IovaRange range, iommu::Access access) = 0;

  // Copies from or to the user's memory of every kind; memory that the user shared answers before it returns,
  // other memory later. `into`/`from` must live until `done`. Errors as for pin; for memory that is served by
  // messages EDEADLK (an answer that the user waits for seems to wait for it), EAGAIN, ETIMEDOUT, ENODEV.
  virtual void dma_read(iommu::Iova iova, Bytes into, Done<> done) = 0;
  virtual void dma_write(iommu::Iova iova, ConstBytes from, Done<> done) = 0;
  // Would both be over when they return? For whoever holds a pin meanwhile, which memory behind messages
  // might take long to let go. False, too, of a range that is not mapped, or not at once.
  virtual bool copies_at_once(iommu::IovaRange /*range*/) const { return false; }

  // The user's interrupts: raise() and lower() are the device's, masks and eventfds the framework's.
  virtual IrqSet& irqs() = 0;

  // The virtual machine that the user told the group of before it opened the device (KVM's place), or null.
  virtual std::shared_ptr<VirtualMachine> virtual_machine() const { return nullptr; }

  // A number that no other user of this core has or had.
  virtual std::uint64_t id() const = 0;
};

}  // namespace umdev::vfio
