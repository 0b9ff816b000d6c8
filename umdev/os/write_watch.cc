#include "umdev/os/write_watch.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <utility>

#include "umdev/os/system_call.h"
#include "umdev/os/system_error.h"
#include "umdev/os/thread.h"
#include "umdev/support/mutex.h"

namespace umdev::os {
namespace {

constexpr timespec tick{.tv_sec = 0, .tv_nsec = 5'000'000};
// Fewer signals in a tick than this are not worth a look: they go the slower way.
constexpr std::uint64_t few = 8;
constexpr std::uint32_t unwatched_before_waking = 16;

enum State : std::uint32_t { off, resting, watching };

// What a thread tells the watch, and what the watch has seen of it.
struct alignas(64) Writer {
  Writer();
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::atomic<std::uint64_t> steps = 0;  // one at the start of a write(), one at its end: odd is inside
  std::uint32_t unwatched = 0;
  const pid_t thread = ::gettid();
  std::uint64_t seen = 0;  // this and the next under the registry's mutex
  Writer* next = nullptr;
};

struct Look {
  std::uint64_t writes = 0;  // since the look before
  bool inside = false;       // somebody is in a write()
};

struct Registry {
  Look look() UMDEV_EXCLUDES(mutex);
  void watch();
  void rest();

  void wait_while(State known, const timespec* limit) {
    ::syscall(SYS_futex, &state, FUTEX_WAIT_PRIVATE, static_cast<std::uint32_t>(known), limit, nullptr, 0);
  }
  void wake() { ::syscall(SYS_futex, &state, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

  std::atomic<std::uint32_t> state = off;
  std::atomic<std::uint64_t> interrupted = 0;
  std::atomic<std::uint64_t> looks = 0;
  Mutex mutex;
  // Held while a thread is interrupted, so that none ends meanwhile.
  Writer* writers UMDEV_GUARDED_BY(mutex) = nullptr;
  bool started UMDEV_GUARDED_BY(mutex) = false;
};
static_assert(sizeof(std::atomic<std::uint32_t>) == 4, "a futex is 32 bits");

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a process has one handler of a signal
constinit Registry registry;

Writer::Writer() {
  Interruption::allow();
  Lock lock(registry.mutex);
  next = std::exchange(registry.writers, this);
}

Writer::~Writer() {
  Lock lock(registry.mutex);
  Writer** link = &registry.writers;
  while (*link != this) link = &(*link)->next;
  *link = next;
}

Writer& this_thread() {
  static thread_local Writer writer;
  return writer;
}

int barrier(int command) {
  return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0));
}

// Who marked itself inside before the barrier is seen inside; who marks itself after it sees what the watch
// stored before it.
Look Registry::look() {
  barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  Look result;
  Lock lock(mutex);
  for (Writer* writer = writers; writer != nullptr; writer = writer->next) {
    const std::uint64_t now = writer->steps.load(std::memory_order_relaxed);
    const bool is_inside = now % 2 != 0;
    if (is_inside && now == writer->seen) Interruption::send_to(writer->thread);
    result.inside |= is_inside;
    result.writes += now / 2 - writer->seen / 2;
    writer->seen = now;
  }
  looks.fetch_add(1, std::memory_order_relaxed);
  return result;
}

void Registry::rest() {
  std::uint32_t expected = watching;
  if (!state.compare_exchange_strong(expected, resting)) return;
  if (!look().inside) return;
  expected = resting;
  state.compare_exchange_strong(expected, watching);
}

void Registry::watch() {
  for (;;) {
    const auto now = static_cast<State>(state.load());
    wait_while(now, now == resting ? nullptr : &tick);
    if (now == resting) continue;
    const Look seen = look();
    if (now == off && !seen.inside) return;
    if (now == watching && seen.writes < few && !seen.inside) rest();
  }
}

// Leaves the mark of being inside whichever way the function is left.
class Inside {
 public:
  explicit Inside(Writer& writer) : writer_(writer) {
    step();
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Inside() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    step();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  void step() {
    writer_.steps.store(writer_.steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  Writer& writer_;
};

[[gnu::cold]] void wake_now_and_then(Writer& writer) {
  if (++writer.unwatched % unwatched_before_waking != 0) return;
  std::uint32_t expected = resting;
  if (registry.state.compare_exchange_strong(expected, watching)) registry.wake();
}

}  // namespace

Result<WriteWatch> WriteWatch::start() {
  Lock lock(registry.mutex);
  if (registry.started) return fail(EBUSY, "writes are watched already");
  auto interruption = UMDEV_TRY(Interruption::claim());
  if (barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0)
    return fail_errno("membarrier is not to be had");
  registry.state.store(resting);
  auto thread = start_thread("write-watch", [] { registry.watch(); });
  if (!thread) {
    registry.state.store(off);
    return std::unexpected(thread.error());
  }
  registry.started = true;
  return WriteWatch(std::move(interruption), std::move(*thread));
}

WriteWatch::~WriteWatch() {
  if (!thread_.joinable()) return;
  registry.state.store(off);
  registry.wake();
  thread_.join();
  Lock lock(registry.mutex);
  registry.started = false;
}

WriteWatch::Outcome WriteWatch::add_one(int event_fd) {
  const std::uint32_t state = registry.state.load(std::memory_order_relaxed);
  if (state == off) return Outcome::unwatched;
  Writer& writer = this_thread();
  if (state == resting) {
    wake_now_and_then(writer);
    return Outcome::unwatched;
  }
  const Inside inside(writer);
  // Once more, now that the watch could see us: it may have gone to rest.
  if (registry.state.load(std::memory_order_relaxed) != watching) return Outcome::unwatched;
  const std::uint64_t one = 1;
  if (system_call<&::write, SYS_write>(event_fd, &one, sizeof one) != -EINTR) return Outcome::done;
  registry.interrupted.fetch_add(1, std::memory_order_relaxed);
  return Outcome::interrupted;
}

std::uint64_t WriteWatch::count_interrupted() {
  return registry.interrupted.load(std::memory_order_relaxed);
}

std::uint64_t WriteWatch::count_looks() {
  return registry.looks.load(std::memory_order_relaxed);
}

}  // namespace umdev::os
