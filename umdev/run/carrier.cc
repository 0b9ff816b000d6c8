#include "umdev/run/carrier.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "umdev/os/system_error.h"
#include "umdev/run/injection.h"

namespace umdev::run {
namespace {

// Newer than the headers of Debian 12.
constexpr std::uint32_t feature_dma_buf = 11;
constexpr std::uint32_t group_of_files = 1;  // KVM_DEV_VFIO_FILE

// What a kernel copies of a device's name at most.
constexpr std::size_t name_max = 4096;
// Of the argument of VFIO_DEVICE_FEATURE; the features that are carried need far less.
constexpr std::size_t feature_max = 65536;
constexpr std::size_t page = 4096;

int fd_of(const StoppedCall& call) {
  return static_cast<int>(call.number == SYS_mmap ? call.arguments[4] : call.arguments[0]);
}

std::uint32_t command_of(const StoppedCall& call) {
  return static_cast<std::uint32_t>(call.arguments[1]);
}

// A text with its NUL, a page at a time since what lies behind it may not be there. EFAULT.
Result<std::vector<std::byte>> read_text(const os::Process& process, std::uint64_t address) {
  std::vector<std::byte> text;
  while (text.size() < name_max) {
    const std::size_t begin = text.size();
    const std::size_t size = std::min(name_max - begin, page - (address + begin) % page);
    text.resize(begin + size);
    if (!process.read(address + begin, std::span(text).subspan(begin))) return fail(EFAULT, "no such text");
    if (std::memchr(text.data() + begin, 0, size) != nullptr) break;
  }
  return text;
}

bool gives_a_descriptor(std::uint32_t flags) {
  const std::uint32_t feature = flags & VFIO_DEVICE_FEATURE_MASK;
  return (feature == VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE && (flags & VFIO_DEVICE_FEATURE_SET) != 0) ||
         (feature == feature_dma_buf && (flags & VFIO_DEVICE_FEATURE_GET) != 0);
}

}  // namespace

bool Carrier::is_ours(const StoppedCall& call, int fd) const {
  const auto identity = os::identity_of_fd_of(call.thread, fd);
  return identity && identity->device == devices_.device();
}

// Calls on other files have not to wait for a thread.
void Carrier::take(const StoppedCall& call) {
  if (call.number == SYS_ioctl && command_of(call) == KVM_SET_DEVICE_ATTR) {
    if (is_file_for_kvm(call))
      (void)listener_.answer(call, 0);
    else
      listener_.go_on(call);
    return;
  }
  if (!is_ours(call, fd_of(call))) return listener_.go_on(call);
  executor_.post([this, kept = std::make_shared<const StoppedCall>(call)] { carry(*kept); });
}

Result<Carrier::Caller> Carrier::look_at(const StoppedCall& call, int fd) const {
  Caller caller;
  caller.process = UMDEV_TRY(os::Process::open(call.thread));
  // From here on the number means the thread that waits.
  if (!listener_.is_waiting(call)) return fail(ESRCH, "nobody waits for this call");
  caller.file = UMDEV_TRY(caller.process->take_fd(fd));
  if (UMDEV_TRY(os::identity_of(caller.file.get())).device != devices_.device())
    return fail(EBADF, "the descriptor is another file's by now");
  return caller;
}

void Carrier::carry(const StoppedCall& call) {
  auto caller = look_at(call, fd_of(call));
  if (!caller) return (void)listener_.refuse(call, caller.error().code);
  if (call.number == SYS_mmap)
    carry_mmap(call, std::move(*caller));
  else
    carry_ioctl(call, std::move(*caller));
}

void Carrier::carry_ioctl(const StoppedCall& call, Caller caller) {
  const std::uint64_t address = call.arguments[2];
  if (command_of(call) == VFIO_DEVICE_FEATURE) return carry_feature(call, std::move(caller));
  if (command_of(call) == VFIO_GROUP_GET_DEVICE_FD) {
    auto name = read_text(*caller.process, address);
    if (!name) return (void)listener_.refuse(call, EFAULT);
    return carry_argument(call, std::move(caller), std::move(*name), /*goes_back=*/false);
  }
  std::vector<std::byte> plane(sizeof(std::uint32_t));
  if (!caller.process->read(address, plane)) return (void)listener_.refuse(call, EFAULT);
  carry_argument(call, std::move(caller), std::move(plane), /*goes_back=*/false);
}

void Carrier::carry_feature(const StoppedCall& call, Caller caller) {
  vfio_device_feature head{};
  const Bytes into = std::as_writable_bytes(std::span(&head, 1));
  // Whatever gives no descriptor, and whatever is wrong, the file system can answer by itself.
  if (!caller.process->read(call.arguments[2], into.first(sizeof head)) || head.argsz < sizeof head ||
      head.argsz > feature_max || !gives_a_descriptor(head.flags))
    return listener_.go_on(call);
  std::vector<std::byte> argument(head.argsz);
  if (!caller.process->read(call.arguments[2], argument)) return listener_.go_on(call);
  // Looked at once: the program may be changing it.
  std::memcpy(argument.data(), &head, sizeof head);
  carry_argument(call, std::move(caller), std::move(argument), /*goes_back=*/true);
}

void Carrier::carry_argument(const StoppedCall& call, Caller caller, std::vector<std::byte> argument,
                             bool goes_back) {
  auto answer = devices_.ioctl(caller.file.get(), command_of(call), argument);
  caller.file.reset();
  std::int64_t value = answer ? answer->value : 0;
  if (answer && answer->fd) {
    const auto number = listener_.give(call, answer->fd.get());
    if (!number) return (void)listener_.refuse(call, number.error().code);
    answer->fd.reset();
    if (const auto at = answer->number_at) {
      if (*at <= argument.size() && argument.size() - *at >= sizeof *number)
        std::memcpy(argument.data() + *at, &*number, sizeof *number);
    } else {
      value = *number;
    }
  }
  if (goes_back && !caller.process->write(call.arguments[2], argument))
    return (void)listener_.refuse(call, EFAULT);
  if (!answer) return (void)listener_.refuse(call, answer.error().code);
  (void)listener_.answer(call, value);
}

// A KVM of the kernel takes only the kernel's own VFIO files, and a VMM that has an iommufd gives up over
// that. Nothing of a device here depends on its being told.
bool Carrier::is_file_for_kvm(const StoppedCall& call) const {
  const auto process = os::Process::open(call.thread);
  if (!process) return false;
  kvm_device_attr attribute{};
  std::int32_t fd = -1;
  return (*process)->read(call.arguments[2], std::as_writable_bytes(std::span(&attribute, 1))) &&
         attribute.group == group_of_files &&
         (*process)->read(attribute.addr, std::as_writable_bytes(std::span(&fd, 1))) &&
         listener_.is_waiting(call) && is_ours(call, fd);
}

void Carrier::carry_mmap(const StoppedCall& call, Caller caller) {
  caller.file.reset();
  if (leave_to_daemon(call, *caller.process)) return;
  auto again = look_at(call, fd_of(call));
  if (!again) return (void)listener_.refuse(call, again.error().code);
  map_here(call, std::move(*again));
}

bool Carrier::leave_to_daemon(const StoppedCall& call, const os::Process& process) {
  const auto memory = process.open_memory(/*for_writing=*/true);
  if (!memory) return false;
  abi::SupervisedTracedMmap words{.thread = call.thread,
                                  .listener = listener_.fd(),
                                  .memory = memory->get(),
                                  .padding = 0,
                                  .id = call.id,
                                  .arguments = {}};
  std::ranges::copy(call.arguments, words.arguments);
  return devices_.map_traced(words).has_value();
}

void Carrier::map_here(const StoppedCall& call, Caller caller) {
  const std::uint64_t length = call.arguments[1];
  const auto flags = static_cast<int>(call.arguments[3]);
  auto pieces = devices_.mmap(caller.file.get(), call.arguments[5], length, (flags & MAP_SHARED) != 0,
                              (call.arguments[2] & PROT_WRITE) != 0);
  const auto has_registers = pieces ? prepare_registers(caller.file, *pieces) : false;
  caller.file.reset();
  if (!pieces) return (void)listener_.refuse(call, pieces.error().code);
  if (!has_registers) return (void)listener_.refuse(call, has_registers.error().code);
  struct Mapping {
    StoppedCall call;
    std::vector<CarriedPiece> pieces;
    bool has_registers = false;
  };
  auto mapping = std::make_unique<Mapping>(call, std::move(*pieces), *has_registers);
  tracer_.post([this, mapping = std::move(mapping)] {
    if (!listener_.is_waiting(mapping->call)) return;
    if (mapping->has_registers)
      if (const auto traced = tracer_.trace_process_of(mapping->call.thread); !traced)
        return (void)listener_.refuse(mapping->call, traced.error().code);
    map_in_place_of(listener_, mapping->call, tracer_, mapping->pieces);
  });
}

Result<bool> Carrier::prepare_registers(const os::UniqueFd& device, std::vector<CarriedPiece>& pieces) {
  bool any = false;
  for (CarriedPiece& piece : pieces) {
    if (piece.fd) continue;
    any = true;
    const auto registers = UMDEV_TRY(registers_.of_device(device.get()));
    piece.fd = os::UniqueFd(::fcntl(registers->faults(), F_DUPFD_CLOEXEC, 0));
    if (!piece.fd) return os::fail_errno("no descriptor is left");
  }
  return any;
}

}  // namespace umdev::run
