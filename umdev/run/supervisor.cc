#include "umdev/run/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"
#include "umdev/run/carrier.h"

namespace umdev::run {
namespace {

// So many calls may hang in devices before others wait for them.
constexpr os::ThreadPoolLimits call_limits{.kept = 1, .most = 512};

// One byte, and what came with it. Waits.
Result<os::FdBatch> receive_fds(int channel) {
  pollfd ready{.fd = channel, .events = POLLIN, .revents = 0};
  os::retry_interrupted([&] { return ::poll(&ready, 1, -1); });
  std::byte byte{};
  os::FdBatch fds;
  if (UMDEV_TRY(os::receive(channel, std::span(&byte, 1), fds)) == 0)
    return fail(EPIPE, "the other side has ended");
  return fds;
}

Result<> send_fd(int channel, int fd) {
  const std::byte byte{};
  const std::span<const int> fds = fd < 0 ? std::span<const int>() : std::span<const int>(&fd, 1);
  UMDEV_TRY(os::send(channel, std::span(&byte, 1), fds));
  return {};
}

// Nothing of the program's stays open here: whoever waits for the end of its output would wait for us.
bool let_go_of_everything_but(os::UniqueFd& channel) {
  constexpr int kept = 3;
  if (::setsid() < 0 || ::chdir("/") != 0) return false;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  if (channel.get() != kept) {
    if (::dup3(channel.get(), kept, O_CLOEXEC) < 0) return false;
    channel.reset(kept);
  }
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, standard);
  return ::close_range(kept + 1, ~0U, 0) == 0;
}

// The supervisor's life.
Result<> supervise(os::UniqueFd channel, const std::string& mount) {
  auto devices = UMDEV_TRY(DeviceMount::open(mount));
  UMDEV_TRY(send_fd(channel.get(), -1));
  os::FdBatch fds = UMDEV_TRY(receive_fds(channel.get()));
  if (fds.empty()) return fail(EPIPE, "no listener came");
  Listener listener(fds.take(0));
  RegisterFiles registers(*devices);
  auto tracer = UMDEV_TRY(Tracer::create(registers));
  auto calls = UMDEV_TRY(os::ThreadPool::create("umdev-carry", call_limits));
  UMDEV_TRY(send_fd(channel.get(), -1));
  channel.reset();
  Carrier carrier(listener, *devices, registers, *tracer, *calls);
  while (const auto call = listener.wait()) carrier.take(*call);
  calls->abandon_stuck({});
  return {};
}

}  // namespace

// Twice, so that it is not a child of the program's.
Result<Supervisor> Supervisor::start(const std::string& mount) {
  auto ends = UMDEV_TRY(os::make_socket_pair());
  const pid_t between = ::fork();
  if (between < 0) return os::fail_errno("no process can be started");
  if (between == 0) {
    const pid_t supervisor = ::fork();
    if (supervisor != 0) ::_exit(supervisor < 0 ? 1 : 0);
    ends[0].reset();
    for (int number = 1; number < NSIG; ++number) ::signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
    // By _exit: nothing here has anything to say at its end, and threads may hang.
    ::_exit(let_go_of_everything_but(ends[1]) && supervise(std::move(ends[1]), mount) ? 0 : 1);
  }
  ends[1].reset();
  int status = 0;
  os::retry_interrupted([&] { return ::waitpid(between, &status, 0); });
  if (!receive_fds(ends[0].get())) return fail(ENOENT, "the supervisor has not started");
  return Supervisor(std::move(ends[0]));
}

Result<> Supervisor::take_charge(const os::UniqueFd& listener) {
  UMDEV_TRY(send_fd(channel_.get(), listener.get()));
  UMDEV_TRY(receive_fds(channel_.get()));
  return {};
}

}  // namespace umdev::run
