#include "umdev/run/tracer.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <utility>

#include "umdev/os/system_error.h"
#include "umdev/os/thread.h"
#include "umdev/run/register_fault.h"

namespace umdev::run {
namespace {

// Once may be too early.
constexpr auto wake_up_again = std::chrono::milliseconds(1);

constexpr unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                                  PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;

// ptrace() takes numbers as pointers.
void* as_pointer(unsigned long value) {
  return reinterpret_cast<void*>(value);  // NOLINT(performance-no-int-to-ptr)
}

void go_on(pid_t thread, int signal) {
  ::ptrace(PTRACE_CONT, thread, nullptr, as_pointer(static_cast<unsigned long>(signal)));
}

std::vector<pid_t> threads_of(pid_t process) {
  std::vector<pid_t> threads;
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(process) + "/task", error);
  for (const auto& entry : tasks) {
    const std::string name = entry.path().filename();
    pid_t thread = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), thread).ec == std::errc())
      threads.push_back(thread);
  }
  return threads;
}

bool stops_the_process(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

}  // namespace

Result<std::unique_ptr<Tracer>> Tracer::create(const MappedRegisters& registers) {
  auto interruption = UMDEV_TRY(os::Interruption::claim());
  // Each stop would be told the process, by a signal that nobody wants, as well as the thread that waits for
  // it.
  struct sigaction untold{};
  untold.sa_handler = SIG_DFL;
  untold.sa_flags = SA_NOCLDSTOP;
  if (::sigaction(SIGCHLD, &untold, nullptr) != 0) return os::fail_errno("SIGCHLD cannot be turned off");
  std::unique_ptr<Tracer> tracer(new Tracer(registers, std::move(interruption)));
  tracer->thread_ = UMDEV_TRY(os::start_thread("umdev-trace", [&self = *tracer] { self.run(); }));
  return tracer;
}

Tracer::~Tracer() {
  if (!thread_.joinable()) return;
  {
    Lock lock(mutex_);
    ends_ = true;
  }
  post([] {});
  thread_.join();
}

void Tracer::post(Work work) {
  Lock lock(mutex_);
  posted_.push_back(std::move(work));
  changed_.notify_all();
  while (!posted_.empty() && !has_ended_) {
    os::Interruption::send(thread_.native_handle());
    changed_.wait_for(mutex_, wake_up_again);
  }
}

// False at the end. While nothing is traced, there is nothing else to wait for.
bool Tracer::do_posted() {
  std::vector<Work> work;
  {
    Lock lock(mutex_);
    while (posted_.empty() && threads_.empty()) changed_.wait(mutex_);
    work = std::exchange(posted_, {});
    if (!work.empty()) changed_.notify_all();
    if (ends_) {
      has_ended_ = true;
      changed_.notify_all();
      return false;
    }
  }
  for (Work& one : work) one();
  return true;
}

void Tracer::run() {
  os::Interruption::allow();
  while (do_posted()) {
    if (threads_.empty()) continue;
    int status = 0;
    // Only for whom this thread traces: others of this process may trace, or have children.
    const pid_t thread = ::waitpid(-1, &status, __WALL | __WNOTHREAD);
    if (thread > 0)
      take(thread, status);
    else if (errno == ECHILD)
      threads_.clear();
  }
}

// --- Whom it traces.

bool Tracer::seize(pid_t thread) {
  if (traces(thread) || ::ptrace(PTRACE_SEIZE, thread, nullptr, as_pointer(options)) != 0) return false;
  (void)process_of(thread);
  return true;
}

bool Tracer::seize_all(pid_t process) {
  bool any = false;
  for (const pid_t thread : threads_of(process)) any = seize(thread) || any;
  return any;
}

// Threads that come up meanwhile are those of one that is not traced yet, so they are found the next time.
Result<> Tracer::trace_process_of(pid_t thread, TraceCheck is_allowed) {
  if (traces(thread)) return {};
  const auto process = UMDEV_TRY(os::Process::open(thread));
  if (!seize(thread)) return fail(EBUSY, "somebody else traces the program");
  if (!is_allowed()) {
    unwanted_.insert(thread);
    ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr);
    return fail(EPERM, "who asks for it must not trace this program");
  }
  while (seize_all(process->id())) {
  }
  return {};
}

std::shared_ptr<Tracer::Process> Tracer::process_of(pid_t thread) {
  std::shared_ptr<Process>& known = threads_[thread];
  if (known) return known;
  const auto opened = os::Process::open(thread);
  const pid_t id = opened ? (*opened)->id() : thread;
  for (const auto& [other, process] : threads_)
    if (process && process->id == id) return known = process;
  known = std::make_shared<Process>();
  known->id = id;
  return known;
}

void Tracer::let_go(pid_t thread, int signal) {
  ::ptrace(PTRACE_DETACH, thread, nullptr, as_pointer(static_cast<unsigned long>(signal)));
  threads_.erase(thread);
}

// --- What they stop for.

void Tracer::take(pid_t thread, int status) {
  const bool is_unwanted = unwanted_.erase(thread) > 0;
  if (!WIFSTOPPED(status)) {
    threads_.erase(thread);
    return;
  }
  const auto event = static_cast<int>(static_cast<unsigned>(status) >> 16U);
  if (is_unwanted) return let_go(thread, event == 0 ? WSTOPSIG(status) : 0);
  if (event != 0) return take_event(thread, event, WSTOPSIG(status));
  take_signal(thread, WSTOPSIG(status));
}

void Tracer::take_event(pid_t thread, int event, int signal) {
  switch (event) {
    case PTRACE_EVENT_EXIT:
      // Its death is its parent's to see, without our seeing it first.
      return let_go(thread);
    case PTRACE_EVENT_EXEC: {
      // Nothing of what was mapped is left. The thread has its process's number now.
      unsigned long before = 0;
      if (::ptrace(PTRACE_GETEVENTMSG, thread, nullptr, &before) == 0)
        threads_.erase(static_cast<pid_t>(before));
      return let_go(thread);
    }
    case PTRACE_EVENT_STOP:
      // A thread or a child that is new, or one that stops with its process and goes on with it.
      (void)process_of(thread);
      if (stops_the_process(signal))
        ::ptrace(PTRACE_LISTEN, thread, nullptr, nullptr);
      else
        go_on(thread, 0);
      return;
    default:
      return go_on(thread, 0);
  }
}

void Tracer::take_signal(pid_t thread, int signal) {
  if (signal != SIGBUS) return go_on(thread, signal == (SIGTRAP | 0x80) ? 0 : signal);
  const auto process = process_of(thread);
  if (!process->map)
    if (auto opened = os::MemoryMap::open(thread)) process->map = std::move(*opened);
  const bool is_served = process->map && serve_fault(thread, process->id, *process->map, registers_);
  go_on(thread, is_served ? 0 : signal);
}

}  // namespace umdev::run
