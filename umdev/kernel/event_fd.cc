// eventfd contexts: of descriptors that came with the request in service, and of no others, since a number
// that a client made up would name a descriptor of this program.
#include "umdev/os/event_fd.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "umdev/kernel/call.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/services.h"

struct eventfd_ctx {
  umdev::os::EventFd event_fd;
  std::atomic<int> references = 1;
};

namespace umdev::kernel {

::eventfd_ctx* eventfd_ctx_fdget(int fd) {
  const Call* const call = current_call();
  if (call == nullptr || fd < 0) return error_pointer<::eventfd_ctx>(EBADF);
  const auto lent = std::ranges::find(call->descriptors, fd, &os::UniqueFd::get);
  if (lent == call->descriptors.end()) return error_pointer<::eventfd_ctx>(EBADF);
  auto own = lent->dup();
  if (!own) return error_pointer<::eventfd_ctx>(own.error().code);
  auto adopted = os::EventFd::adopt(std::move(*own));
  if (!adopted) return error_pointer<::eventfd_ctx>(adopted.error().code);
  auto context = std::make_unique<::eventfd_ctx>();
  context->event_fd = std::move(*adopted);
  return context.release();
}

void eventfd_ctx_put(::eventfd_ctx* context) {
  if (context->references.fetch_sub(1) == 1) const std::unique_ptr<::eventfd_ctx> last(context);
}

int eventfd_signal(::eventfd_ctx* context, umdev_u64 count) {
  for (umdev_u64 signalled = 0; signalled < count; ++signalled) context->event_fd.signal();
  return static_cast<int>(count);
}

}  // namespace umdev::kernel
