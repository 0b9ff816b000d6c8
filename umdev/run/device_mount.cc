#include "umdev/run/device_mount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <utility>

#include "umdev/os/process.h"
#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"

namespace umdev::run {

// Goes back for the next call; one that may have something left on its channel is closed.
class DeviceMount::Borrowed {
 public:
  Borrowed(DeviceMount& owner, Desk desk) : owner_(&owner), desk_(std::move(desk)) {}
  Borrowed(Borrowed&& other) noexcept = default;
  ~Borrowed() {
    if (!good_) return;
    Lock lock(owner_->mutex_);
    owner_->idle_.push_back(std::move(desk_));
  }

  int channel() const { return desk_.their_channel.get(); }

  template <typename Words>
  Result<> call(std::uint32_t command, Words& words) {
    if (os::retry_interrupted([&] { return ::ioctl(desk_.node.get(), command, &words); }) >= 0) return {};
    // What the call itself is refused for leaves nothing behind.
    good_ = errno != EFAULT && errno != ENOTCONN && errno != ECONNABORTED;
    return os::fail_errno("the call is refused");
  }
  Result<os::FdBatch> receive() {
    std::byte byte{};
    os::FdBatch fds;
    UMDEV_TRY(os::receive(desk_.channel.get(), std::span(&byte, 1), fds));
    if (fds.empty() || fds.lost()) return fail(EMFILE, "the descriptors of the answer are lost");
    return fds;
  }
  void mark_good() { good_ = true; }

 private:
  DeviceMount* owner_;
  Desk desk_;
  bool good_ = false;
};

Result<std::unique_ptr<DeviceMount>> DeviceMount::open(const std::string& path) {
  os::UniqueFd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return os::fail_errno("the mount of device nodes cannot be opened");
  const os::FileIdentity identity = UMDEV_TRY(os::identity_of(root.get()));
  return std::unique_ptr<DeviceMount>(new DeviceMount(std::move(root), identity.device));
}

Result<os::UniqueFd> DeviceMount::open_node() const {
  os::UniqueFd node(::openat(root_.get(), abi::supervisor_node_name, O_RDWR | O_CLOEXEC));
  if (!node) return os::fail_errno("the daemon cannot be called");
  return node;
}

Result<DeviceMount::Borrowed> DeviceMount::borrow() {
  {
    Lock lock(mutex_);
    if (!idle_.empty()) {
      Desk desk = std::move(idle_.back());
      idle_.pop_back();
      return Borrowed(*this, std::move(desk));
    }
  }
  Desk desk;
  desk.node = UMDEV_TRY(open_node());
  auto channel = UMDEV_TRY(os::make_socket_pair());
  desk.channel = std::move(channel[0]);
  desk.their_channel = std::move(channel[1]);
  return Borrowed(*this, std::move(desk));
}

Result<os::UniqueFd> DeviceMount::open_new(std::uint64_t token) const {
  const std::string name = fmt::format("{}/{:016x}", abi::new_files_directory_name, token);
  os::UniqueFd file(::openat(root_.get(), name.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return os::fail_errno("the new file cannot be opened");
  return file;
}

Result<CarriedAnswer> DeviceMount::ioctl(int fd, std::uint32_t command, Bytes argument) {
  Borrowed desk = UMDEV_TRY(borrow());
  const auto address = reinterpret_cast<std::uint64_t>(argument.data());
  abi::SupervisedIoctl words{.fd = fd, .command = command, .argument = address, .channel = desk.channel()};
  UMDEV_TRY(desk.call(abi::supervised_ioctl, words));
  CarriedAnswer answer{.value = words.value, .fd = {}, .number_at = {}};
  if (words.kind == abi::supervised_answer_file) {
    answer.fd = UMDEV_TRY(open_new(words.token));
  } else if (words.kind == abi::supervised_answer_descriptor) {
    os::FdBatch fds = UMDEV_TRY(desk.receive());
    answer.fd = fds.take(0);
  }
  if (words.has_address != 0) answer.number_at = words.address - address;
  desk.mark_good();
  return answer;
}

Result<std::vector<CarriedPiece>> DeviceMount::mmap(int fd, std::uint64_t offset, std::uint64_t length,
                                                    bool shared, bool writable) {
  Borrowed desk = UMDEV_TRY(borrow());
  abi::SupervisedMmap words{.fd = fd,
                            .channel = desk.channel(),
                            .offset = offset,
                            .length = length,
                            .shared = shared ? 1U : 0U,
                            .writable = writable ? 1U : 0U};
  UMDEV_TRY(desk.call(abi::supervised_mmap, words));
  if (words.count > abi::supervised_pieces_max) return fail(EPROTO, "the daemon's answer makes no sense");
  const std::span<const abi::SupervisedPiece> answered(words.pieces, words.count);
  const auto memories = std::ranges::count(answered, 0U, &abi::SupervisedPiece::is_registers);
  os::FdBatch fds;
  if (memories > 0) fds = UMDEV_TRY(desk.receive());
  if (std::cmp_not_equal(fds.size(), memories)) return fail(EPROTO, "the daemon's answer makes no sense");
  std::vector<CarriedPiece> pieces;
  std::size_t next = 0;
  for (const abi::SupervisedPiece& piece : answered)
    pieces.push_back({.position = piece.position,
                      .fd = piece.is_registers == 0 ? fds.take(next++) : os::UniqueFd(),
                      .fd_offset = piece.fd_offset,
                      .length = piece.length});
  desk.mark_good();
  return pieces;
}

Result<> DeviceMount::map_traced(abi::SupervisedTracedMmap words) {
  int node = -1;
  {
    Lock lock(mutex_);
    if (!tracing_) tracing_ = UMDEV_TRY(open_node());
    node = tracing_.get();
  }
  if (os::retry_interrupted([&] { return ::ioctl(node, abi::supervised_traced_mmap, &words); }) < 0)
    return os::fail_errno("the daemon does not trace the program");
  return {};
}

Result<CarriedRegisters> DeviceMount::registers(int fd) {
  Borrowed desk = UMDEV_TRY(borrow());
  abi::SupervisedRegisters words{.fd = fd, .channel = desk.channel(), .token = 0};
  UMDEV_TRY(desk.call(abi::supervised_registers, words));
  os::FdBatch fds = UMDEV_TRY(desk.receive());
  CarriedRegisters registers{.file = UMDEV_TRY(open_new(words.token)), .faults = fds.take(0)};
  desk.mark_good();
  return registers;
}

}  // namespace umdev::run
