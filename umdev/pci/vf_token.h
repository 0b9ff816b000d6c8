// The token by which the user of a physical function says whose virtual functions may be used beside it.
#pragma once

#include <optional>

#include "umdev/support/error.h"
#include "umdev/support/mutex.h"
#include "umdev/support/uuid.h"

namespace umdev::pci {

// Who has the physical function can do much to its virtual functions: reset them, read their memory. So a
// program that uses one of them must know a UUID that the physical function's user has set. The rules are
// vfio-pci's (vfio_pci_core_match_token_uuid).
//
// It belongs to the physical function, whoever has that open. Thread-safe.
class VfToken {
 public:
  // `first`: known to nobody.
  explicit VfToken(const Uuid& first) : token_(first) {}

  // May whoever shows this open the physical function? While no virtual function is open, everybody may, and
  // what is shown becomes the token; EACCES to another, or none, while one is.
  Result<> match_physical(const std::optional<Uuid>& shown) UMDEV_EXCLUDES(mutex_);
  // ... and a virtual function? EACCES to another token, or none.
  Result<> match_virtual(const std::optional<Uuid>& shown) const UMDEV_EXCLUDES(mutex_);
  // VFIO_DEVICE_FEATURE_PCI_VF_TOKEN. Who has a virtual function open keeps it.
  void set(const Uuid& token) UMDEV_EXCLUDES(mutex_);

  // A virtual function was opened, and closed.
  void add_user() UMDEV_EXCLUDES(mutex_);
  void remove_user() UMDEV_EXCLUDES(mutex_);

 private:
  Result<> match(const std::optional<Uuid>& shown) const UMDEV_REQUIRES(mutex_);

  mutable Mutex mutex_;
  Uuid token_ UMDEV_GUARDED_BY(mutex_);
  unsigned users_ UMDEV_GUARDED_BY(mutex_) = 0;
};

}  // namespace umdev::pci
