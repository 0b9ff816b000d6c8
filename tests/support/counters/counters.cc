#include "tests/support/counters/counters.h"

#if defined(UMDEV_OWN_HEAP)

namespace umdev::test {

Counts counts_of_this_thread() {
  return {};
}
Counts counts_of_other_threads() {
  return {};
}

}  // namespace umdev::test

#else

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <atomic>
#include <cstdlib>

#include "umdev/support/assert.h"

namespace umdev::test {
namespace {

thread_local Counts mine;
struct {
  std::atomic<std::uint64_t> allocations;
  std::atomic<std::uint64_t> locks;
  std::atomic<std::uint64_t> system_calls;
} all;

void count_allocation() {
  ++mine.allocations;
  all.allocations.fetch_add(1, std::memory_order_relaxed);
}
void count_lock() {
  ++mine.locks;
  all.locks.fetch_add(1, std::memory_order_relaxed);
}
void count_system_call() {
  ++mine.system_calls;
  all.system_calls.fetch_add(1, std::memory_order_relaxed);
}

void* counted_memory(std::size_t size) {
  count_allocation();
  void* memory = std::malloc(size);
  UMDEV_ASSERT(memory != nullptr, "no memory");
  return memory;
}

// The C library's own. Found at the first use: nothing has to be set up before.
template <typename Function>
Function* next(std::atomic<void*>& found, const char* name) {
  void* address = found.load(std::memory_order_relaxed);
  if (address == nullptr) {
    address = ::dlsym(RTLD_NEXT, name);
    found.store(address, std::memory_order_relaxed);
  }
  return reinterpret_cast<Function*>(address);
}

}  // namespace

Counts counts_of_this_thread() {
  return mine;
}

Counts counts_of_other_threads() {
  return Counts{.allocations = all.allocations, .locks = all.locks, .system_calls = all.system_calls} - mine;
}

}  // namespace umdev::test

void* operator new(std::size_t size) {
  return umdev::test::counted_memory(size);
}
void* operator new[](std::size_t size) {
  return umdev::test::counted_memory(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

// Each counts, and passes on.
// NOLINTBEGIN(cppcoreguidelines-macro-usage, bugprone-macro-parentheses): the same ten times
#define UMDEV_COUNTED(result, name, count, parameters, arguments, specifier) \
  extern "C" result name parameters specifier {                              \
    static std::atomic<void*> found;                                         \
    umdev::test::count();                                                    \
    return umdev::test::next<result parameters>(found, #name) arguments;     \
  }

UMDEV_COUNTED(int, pthread_mutex_lock, count_lock, (pthread_mutex_t * mutex), (mutex), noexcept)
UMDEV_COUNTED(int, epoll_wait, count_system_call, (int fd, epoll_event* events, int count, int timeout),
              (fd, events, count, timeout), )
UMDEV_COUNTED(int, epoll_pwait2, count_system_call,
              (int fd, epoll_event* events, int count, const timespec* timeout, const sigset_t* mask),
              (fd, events, count, timeout, mask), )
UMDEV_COUNTED(int, epoll_ctl, count_system_call, (int fd, int operation, int target, epoll_event* event),
              (fd, operation, target, event), noexcept)
UMDEV_COUNTED(ssize_t, recvmsg, count_system_call, (int fd, msghdr* message, int flags),
              (fd, message, flags), )
UMDEV_COUNTED(ssize_t, sendmsg, count_system_call, (int fd, const msghdr* message, int flags),
              (fd, message, flags), )
UMDEV_COUNTED(ssize_t, send, count_system_call, (int fd, const void* from, std::size_t size, int flags),
              (fd, from, size, flags), )
UMDEV_COUNTED(ssize_t, read, count_system_call, (int fd, void* into, std::size_t size), (fd, into, size), )
UMDEV_COUNTED(ssize_t, write, count_system_call, (int fd, const void* from, std::size_t size),
              (fd, from, size), )
UMDEV_COUNTED(int, poll, count_system_call, (pollfd * fds, nfds_t count, int timeout),
              (fds, count, timeout), )

#undef UMDEV_COUNTED
// NOLINTEND(cppcoreguidelines-macro-usage, bugprone-macro-parentheses)

#endif
