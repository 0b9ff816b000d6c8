#include "umdev/support/error.h"

#include <array>

namespace umdev {
namespace {

struct ErrnoName {
  int code;
  std::string_view name;
};

#define UMDEV_ERRNO(name) \
  ErrnoName {             \
    name, #name           \
  }

// The numbers that VFIO, vfio-user and the tree can answer.
constexpr std::array errno_names{
    UMDEV_ERRNO(EPERM),        UMDEV_ERRNO(ENOENT),      UMDEV_ERRNO(EINTR),
    UMDEV_ERRNO(EIO),          UMDEV_ERRNO(ENXIO),       UMDEV_ERRNO(E2BIG),
    UMDEV_ERRNO(EBADF),        UMDEV_ERRNO(EAGAIN),      UMDEV_ERRNO(ENOMEM),
    UMDEV_ERRNO(EACCES),       UMDEV_ERRNO(EFAULT),      UMDEV_ERRNO(EBUSY),
    UMDEV_ERRNO(EEXIST),       UMDEV_ERRNO(ENODEV),      UMDEV_ERRNO(ENOTDIR),
    UMDEV_ERRNO(EISDIR),       UMDEV_ERRNO(EINVAL),      UMDEV_ERRNO(ENFILE),
    UMDEV_ERRNO(EMFILE),       UMDEV_ERRNO(ENOTTY),      UMDEV_ERRNO(EFBIG),
    UMDEV_ERRNO(ENOSPC),       UMDEV_ERRNO(ESPIPE),      UMDEV_ERRNO(EROFS),
    UMDEV_ERRNO(EPIPE),        UMDEV_ERRNO(ERANGE),      UMDEV_ERRNO(EDEADLK),
    UMDEV_ERRNO(ENAMETOOLONG), UMDEV_ERRNO(ENOSYS),      UMDEV_ERRNO(ENOTEMPTY),
    UMDEV_ERRNO(ELOOP),        UMDEV_ERRNO(ENODATA),     UMDEV_ERRNO(EPROTO),
    UMDEV_ERRNO(EBADMSG),      UMDEV_ERRNO(EOVERFLOW),   UMDEV_ERRNO(EBADFD),
    UMDEV_ERRNO(EUSERS),       UMDEV_ERRNO(EMSGSIZE),    UMDEV_ERRNO(EPROTONOSUPPORT),
    UMDEV_ERRNO(EOPNOTSUPP),   UMDEV_ERRNO(EADDRINUSE),  UMDEV_ERRNO(ECONNRESET),
    UMDEV_ERRNO(ENOBUFS),      UMDEV_ERRNO(ETIMEDOUT),   UMDEV_ERRNO(ECONNREFUSED),
    UMDEV_ERRNO(EALREADY),     UMDEV_ERRNO(EINPROGRESS), UMDEV_ERRNO(ESTALE),
    UMDEV_ERRNO(ECANCELED),    UMDEV_ERRNO(ESHUTDOWN),   UMDEV_ERRNO(ENOMSG),
    UMDEV_ERRNO(ENOEXEC),
};

}  // namespace

std::string_view errno_name(int code) {
  for (const ErrnoName& entry : errno_names)
    if (entry.code == code) return entry.name;
  return "E?";
}

}  // namespace umdev
