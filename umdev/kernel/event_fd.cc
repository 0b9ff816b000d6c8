// eventfd contexts: of descriptors that came with the request in service, and of no others, since a number
// that a client made up would name a descriptor of this program.
#include <algorithm>
#include <memory>
#include <string>

#include "umdev/kernel/call.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/event_contexts.h"
#include "umdev/kernel/file_object.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"

namespace umdev::kernel {
namespace {

void complain(const char* what) {
  const Call& call = *current_call();
  call.module->world().log().error("module " + std::string(call.module->name()) + ": " + call.callback +
                                   " has " + what + " an eventfd that it had put");
}

// Has a descriptor of its own.
::eventfd_ctx* context_of(const os::UniqueFd& fd) {
  auto own = fd.dup();
  if (!own) return error_pointer<::eventfd_ctx>(own.error().code);
  auto adopted = os::EventFd::adopt(std::move(*own));
  if (!adopted) return error_pointer<::eventfd_ctx>(adopted.error().code);
  auto context = std::make_unique<::eventfd_ctx>();
  context->event_fd = std::move(*adopted);
  return context.release();
}

}  // namespace

::eventfd_ctx* eventfd_ctx_fdget(int fd) {
  const Call* const call = current_call();
  if (call == nullptr || fd < 0) return error_pointer<::eventfd_ctx>(EBADF);
  const auto lent = std::ranges::find(call->descriptors, fd, &os::UniqueFd::get);
  if (lent == call->descriptors.end()) return error_pointer<::eventfd_ctx>(EBADF);
  return context_of(*lent);
}

::eventfd_ctx* eventfd_ctx_fileget(::file* file) {
  const os::UniqueFd* const fd = descriptor_of(file);
  return fd != nullptr ? context_of(*fd) : error_pointer<::eventfd_ctx>(EINVAL);
}

void eventfd_ctx_put(::eventfd_ctx* context) {
  if (context->references.load() <= 0) return complain("put");
  if (context->references.fetch_sub(1) != 1) return;
  current_call()->module->put_contexts().add(std::unique_ptr<::eventfd_ctx>(context));
}

int eventfd_signal(::eventfd_ctx* context, umdev_u64 count) {
  if (context->references.load(std::memory_order_relaxed) <= 0) {
    complain("signalled");
    return 0;
  }
  for (umdev_u64 signalled = 0; signalled < count; ++signalled) context->event_fd.signal();
  return static_cast<int>(count);
}

}  // namespace umdev::kernel
