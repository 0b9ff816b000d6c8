// The interrupts of one user of a device: which eventfds they signal, what is masked, what is pending.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/support/error.h"
#include "umdev/vfio/fd_watcher.h"
#include "umdev/vfio/irq_request.h"
#include "umdev/vfio/irq_setup.h"

namespace umdev::vfio {

// How a device's indexes are numbered. `pci`: 0 is INTx, 1 MSI, 2 MSI-X, of which one may be enabled at a
// time. `other`: every index is on its own.
enum class IrqLayout : std::uint8_t { pci, other };

// Semantics of vfio-pci, for every device. What an index does follows from the flags that the device reports
// for it:
//   AUTOMASKED  level triggered. The device's line stays high from raise() to lower(), whatever the user sets
//               up. A high line signals once, which masks; at unmask a line that is still high signals once
//               more, and one that was lowered in between does not. Disabling keeps the line: it signals
//               again when the user enables the index anew.
//   otherwise   an edge: each raise() signals once; without an eventfd it is lost, as in the kernel.
//   MASKABLE    MASK and UNMASK are possible (ENOTTY for others). An edge or a pulse() that comes while
//               masked is remembered, and signals once at unmask, however many there were.
//   EVENTFD     takes eventfds (ENOTTY for others).
//   NORESIZE    vectors beyond those that the index was enabled with need a disable first (EINVAL).
// By number, because the flags do not tell: on a PCI device INTx, MSI and MSI-X exclude one another (EINVAL).
// By kind: MSI and MSI-X of a PCI device, and every edge index with more than one vector, are set up as a
// block, in which an empty descriptor enables the index and leaves a vector silent; an edge index with one
// vector otherwise (ERR, REQ) is a notification, enabled exactly while it has an eventfd.
//
// raise(), lower() and pulse() take no lock and never wait, but once for a client that fills an eventfd on
// purpose (see os::EventFd::adopt). They may be called from any thread, also while
// the user replaces its eventfds: an eventfd that was replaced is never signalled after set() has returned.
// An index or vector that the device does not have is ignored, for its number may come from a guest.
class IrqSet {
 public:
  // `infos[index]` is what the device answers to GET_IRQ_INFO; a count of 0 for what it does not implement.
  // `watcher` (may be null: then unmask eventfds are refused with ENOTTY) must outlive this. So
  // must `trust`, which is the device's, for all who use it: without one, eventfds are signalled the slow
  // way.
  IrqSet(const std::vector<IrqInfo>& infos, FdWatcher* watcher, IrqLayout layout = IrqLayout::pci,
         os::EventFdTrust* trust = nullptr);
  // No device may raise any more.
  ~IrqSet();
  IrqSet(const IrqSet&) = delete;
  IrqSet& operator=(const IrqSet&) = delete;

  // Raises a vector: sets the line of an AUTOMASKED index, signals an edge.
  void raise(std::uint32_t index, std::uint32_t vector = 0);
  // Lowers the line of an AUTOMASKED index: what has not been delivered yet will not be. No effect on edges.
  void lower(std::uint32_t index, std::uint32_t vector = 0);
  // One event, for a device that has no line to lower: signals an AUTOMASKED index once (and masks it), or
  // once at unmask. lower() does not take it back. For an edge the same as raise().
  void pulse(std::uint32_t index, std::uint32_t vector = 0);

  // True when the user has enabled this index (it has trigger eventfds, or an empty one that stands for
  // "enabled, silent"). Takes no lock.
  bool enabled(std::uint32_t index) const;

  // SET_IRQS. EINVAL, ENOTTY, EBUSY, ERANGE, EBADF as vfio-pci answers. Checks the request as
  // validate_irq_request does, so that a driver may make up requests of its own. Takes the descriptors that
  // it keeps; those of a refused request are closed by it or left.
  // NONE and BOOL with TRIGGER are the loop-back test: they signal, and neither mask nor ask the mask.
  // A block whose eventfds are not all good ends with every vector of the block silent, and the index
  // disabled if this request would have enabled it; other indexes then stay as they were.
  Result<> set(IrqRequest& request);

  // For a device that moves, and stands still. From suspend() on nobody looks at unmask eventfds: they count
  // what comes, until resume() (the watcher's errors). setup() is everything of the user's; its descriptors
  // are copies (EMFILE). load() makes it this set's, which has been used by nobody yet, and leaves it
  // suspended; no interrupt is signalled. EINVAL: another device's indexes, or a state in which no interrupt
  // stays.
  void suspend();
  Result<> resume();
  Result<IrqSetup> setup() const;
  Result<> load(IrqSetup setup);

  // Disables every index and drops every eventfd: the user closed, or the device was taken away.
  void disable_all();
  // What a device reset does: pending interrupts are forgotten and lines are low; the set-up stays, masks
  // included.
  void clear_pending();

 private:
  struct Index;
  class State;
  const std::unique_ptr<State> state_;
};

}  // namespace umdev::vfio
