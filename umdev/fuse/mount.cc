#include "umdev/fuse/mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "umdev/fuse/left_behind.h"
#include "umdev/fuse/readers.h"
#include "umdev/fuse/server.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/interruption.h"
#include "umdev/os/system_error.h"

namespace umdev::fuse {
namespace {

constexpr const char* device_path = "/dev/fuse";

// As sysfs is mounted; and permissions are for the kernel to check.
constexpr unsigned long mount_flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// For fusermount3, which serves who may not mount.
std::string helper_options(const std::string& name, bool for_everyone) {
  return "fsname=umdev,subtype=" + name + ",default_permissions,nosuid,nodev,noexec" +
         (for_everyone ? ",allow_other" : "");
}

// mount(2) itself: it says why it fails, where libfuse only prints it. The descriptor of the connection.
Result<os::UniqueFd> mount_directly(const MountOptions& options) {
  os::UniqueFd fd(::open(device_path, O_RDWR | O_CLOEXEC));
  if (!fd) return os::fail_errno("/dev/fuse cannot be opened");
  const std::string data = "fd=" + std::to_string(fd.get()) +
                           ",rootmode=40000,user_id=" + std::to_string(::geteuid()) +
                           ",group_id=" + std::to_string(::getegid()) + ",default_permissions,allow_other";
  const std::string type = "fuse." + options.name;
  if (::mount("umdev", options.path.c_str(), type.c_str(), mount_flags, data.c_str()) != 0)
    return os::fail_errno("mounting was refused");
  return fd;
}

// A piece of a request as the kernel has given it; zeros for one whose bytes are not in memory, which are
// those of a write.
template <typename T>
T piece_of(const fuse_buf& buffer, std::size_t offset) {
  T piece{};
  if ((buffer.flags & FUSE_BUF_IS_FD) == 0 && buffer.size >= offset + sizeof piece)
    std::memcpy(&piece, static_cast<const std::byte*>(buffer.mem) + offset, sizeof piece);
  return piece;
}

std::uint32_t operation_of(const fuse_buf& buffer) {
  return piece_of<fuse_in_header>(buffer, 0).opcode;
}

std::uint32_t command_of(const fuse_buf& buffer) {
  return piece_of<fuse_ioctl_in>(buffer, sizeof(fuse_in_header)).cmd;
}

}  // namespace

class Mount::Server final : public RequestSource {
 public:
  Server(FileSystem& file_system, Log& log) : state_(file_system), log_(log) {}
  ~Server() override;

  Result<> start(const MountOptions& options);
  void detach();
  void end();
  bool for_everyone() const { return for_everyone_; }

 private:
  Result<> open_session(std::string options);
  Result<> mount(const MountOptions& options);
  Result<> mount_by_helper(const MountOptions& options, bool for_everyone);
  void poll() const;

  // ^RequestSource
  void begin() override;
  bool receive(fuse_buf& buffer) override;
  void wake(std::thread& reader) override;
  void process(const fuse_buf& buffer) override { fuse_session_process_buf(session_, &buffer); }
  bool closes(const fuse_buf& buffer) const override { return operation_of(buffer) == FUSE_RELEASE; }
  bool awaits_closes(const fuse_buf& buffer) const override;

  ServerState state_;
  Log& log_;
  MountOptions options_;
  fuse_session* session_ = nullptr;
  bool for_everyone_ = false;
  bool by_helper_ = false;
  std::atomic<bool> attached_ = false;
  // To wait in read() is a tenth faster than to poll, and can be ended by a signal only.
  std::optional<os::Interruption> interruption_;
  os::EventFd stop_;  // for who polls
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<Readers> readers_;
};

Result<> Mount::Server::open_session(std::string options) {
  const fuse_lowlevel_ops operations = make_operations();
  std::string program = "umdev";
  std::string flag = "-o";
  std::array<char*, 4> values{program.data(), flag.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(options.empty() ? 1 : 3, values.data());
  session_ = fuse_session_new(&arguments, &operations, sizeof operations, &state_);
  fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return fail(EINVAL, "libfuse does not take the options");
  return {};
}

Result<> Mount::Server::mount_by_helper(const MountOptions& options, bool for_everyone) {
  UMDEV_TRY(open_session(helper_options(options.name, for_everyone)));
  if (fuse_session_mount(session_, options.path.c_str()) == 0) {
    by_helper_ = true;
    for_everyone_ = for_everyone;
    return {};
  }
  fuse_session_destroy(std::exchange(session_, nullptr));
  return fail(EPERM, "fusermount3 does not mount it");
}

Result<> Mount::Server::mount(const MountOptions& options) {
  auto fd = mount_directly(options);
  if (fd) {
    UMDEV_TRY(open_session({}));
    const int number = fd->release();  // the session's from here on
    UMDEV_ASSERT(fuse_session_mount(session_, ("/dev/fd/" + std::to_string(number)).c_str()) == 0,
                 "libfuse takes a descriptor");
    for_everyone_ = true;
    return {};
  }
  if (fd.error().code != EPERM && fd.error().code != EACCES) return std::unexpected(fd.error());
  if (::geteuid() == 0) return std::unexpected(fd.error());  // the helper has no more rights
  if (mount_by_helper(options, true)) return {};
  return mount_by_helper(options, false);
}

Result<> Mount::Server::start(const MountOptions& options) {
  options_ = {
      .path = UMDEV_TRY(resolve_mount_point(options.path)), .name = options.name, .readers = options.readers};
  UMDEV_TRY(detach_left_behind(options_.path, options_.name));
  UMDEV_TRY(mount(options_));
  attached_ = true;
  if (auto claimed = os::Interruption::claim()) interruption_.emplace(std::move(*claimed));
  if (::fcntl(fuse_session_fd(session_), F_SETFL, interruption_ ? 0 : O_NONBLOCK) != 0)
    return os::fail_errno("how the descriptor waits cannot be set");
  stop_ = UMDEV_TRY(os::EventFd::create());
  readers_ = UMDEV_TRY(Readers::start(*this, options_.name, options.readers));
  return {};
}

void Mount::Server::poll() const {
  std::array<pollfd, 2> fds{pollfd{.fd = fuse_session_fd(session_), .events = POLLIN, .revents = 0},
                            pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
  os::retry_interrupted([&] { return ::poll(fds.data(), fds.size(), -1); });
}

void Mount::Server::begin() {
  if (interruption_) os::Interruption::allow();
}

bool Mount::Server::receive(fuse_buf& buffer) {
  buffer.size = 0;
  if (!interruption_) poll();
  if (stopping_ || fuse_session_exited(session_)) return false;
  const int size = fuse_session_receive_buf(session_, &buffer);
  if (size > 0) return true;
  buffer.size = 0;
  if (size == -EINTR || size == -EAGAIN) return true;
  if (attached_) log_.warning("the mount is gone: somebody has unmounted it");
  return false;
}

bool Mount::Server::awaits_closes(const fuse_buf& buffer) const {
  switch (operation_of(buffer)) {
    case FUSE_OPEN:
      return true;
    case FUSE_IOCTL:
      return state_.file_system.depends_on_closes(command_of(buffer));
    default:
      return false;
  }
}

void Mount::Server::wake(std::thread& reader) {
  if (interruption_) os::Interruption::send(reader.native_handle());
}

void Mount::Server::detach() {
  if (!attached_.exchange(false)) return;
  // Not what others may have mounted there since.
  const Result<> detached = detach_left_behind(options_.path, options_.name);
  if (!detached) log_.warning(detached.error().text);
}

void Mount::Server::end() {
  detach();
  if (readers_) {
    stopping_ = true;
    stop_.signal();
    readers_.reset();
  }
  if (session_ == nullptr) return;
  state_.pending->end();
  if (by_helper_) fuse_session_unmount(session_);
  // Closes the descriptor, which ends the connection for whoever still uses it.
  fuse_session_destroy(std::exchange(session_, nullptr));
}

Mount::Server::~Server() {
  end();
}

Mount::Mount(std::unique_ptr<Server> server) : server_(std::move(server)) {}

Mount::~Mount() = default;

Result<std::unique_ptr<Mount>> Mount::create(FileSystem& file_system, const MountOptions& options, Log& log) {
  auto server = std::make_unique<Server>(file_system, log);
  UMDEV_TRY(server->start(options));
  return std::unique_ptr<Mount>(new Mount(std::move(server)));
}

void Mount::detach() {
  server_->detach();
}

void Mount::end() {
  server_->end();
}

bool Mount::for_everyone() const {
  return server_->for_everyone();
}

}  // namespace umdev::fuse
