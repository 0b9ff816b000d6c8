#include "umdev/os/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include "umdev/os/system_error.h"
#include "umdev/support/assert.h"

namespace umdev::os {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  // Linux frees the number before close() can fail, so a failed close is never repeated: another thread may
  // own the number by now. EBADF means that somebody closed what we own, and may close a stranger's next.
  const int saved = errno;
  const int result = ::close(old);
  UMDEV_ASSERT(result == 0 || errno != EBADF, "an owned descriptor was closed by someone else");
  errno = saved;
}

Result<UniqueFd> UniqueFd::dup() const {
  return duplicate(fd_);
}

Result<UniqueFd> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail_errno("cannot duplicate the descriptor");
  return UniqueFd(copy);
}

}  // namespace umdev::os
