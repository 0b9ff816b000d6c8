// The interrupts of one user of a device: which eventfds they signal, what is masked, what is pending.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/irq_request.h"

namespace umdev::vfio {

// Calls back when a descriptor becomes readable. The daemon's is an epoll loop, a test's is a fake.
class FdWatcher {
 public:
  // Destroying it ends the watch; the callback may still be running then, so it must own what it touches.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  virtual ~FdWatcher() = default;
  // `readable` is called once for each time the descriptor was found readable; it drains the descriptor
  // itself. Any thread.
  virtual Result<std::unique_ptr<Watch>> watch(int fd, InlineFunction<void(), 64> readable) = 0;
};

// Semantics of vfio-pci, for every device: INTx is level triggered and masked when it is signalled
// (AUTOMASKED), an interrupt raised while masked is remembered and delivered at unmask, unmask eventfds work;
// MSI and MSI-X are edges; only one of INTx, MSI and MSI-X is active at a time; other indexes (ERR, REQ) are
// one-shot signals.
//
// raise() and lower() never block and may be called from any thread, also while the user replaces its
// eventfds: an eventfd that was replaced is never signalled after set() has returned.
class IrqSet {
 public:
  // `infos[index]` is what the device answers to GET_IRQ_INFO. `watcher` (may be null: then unmask eventfds
  // are refused with ENOTTY) must outlive this.
  IrqSet(std::vector<IrqInfo> infos, FdWatcher* watcher);
  ~IrqSet();
  IrqSet(const IrqSet&) = delete;
  IrqSet& operator=(const IrqSet&) = delete;

  // Raises a vector. For an AUTOMASKED index it sets the line, and signals unless the index is masked; for an
  // edge it signals once. A vector without an eventfd is silently skipped, as in the kernel.
  void raise(std::uint32_t index, std::uint32_t vector = 0);
  // Lowers the line of an AUTOMASKED index: what has not been delivered yet will not be. No effect on edges.
  void lower(std::uint32_t index, std::uint32_t vector = 0);

  // True when the user has enabled this index (it has trigger eventfds, or an empty one that stands for
  // "enabled, silent").
  bool enabled(std::uint32_t index) const;

  // SET_IRQS, validated already (validate_irq_request). EINVAL, ENOTTY, EBUSY, EBADF as vfio-pci answers.
  Result<> set(IrqRequest& request);

  // Disables every index and drops every eventfd: the user closed, or the device was taken away.
  void disable_all();
  // What a device reset does: pending interrupts are forgotten and lines are low; the set-up stays.
  void clear_pending();

 private:
  struct Index;
  class State;
  const std::shared_ptr<State> state_;
};

}  // namespace umdev::vfio
