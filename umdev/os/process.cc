#include "umdev/os/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <climits>
#include <filesystem>
#include <fstream>
#include <optional>

#include "umdev/os/area_query.h"
#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

// Since Linux 6.9; before it a pidfd is of a whole process.
constexpr unsigned pidfd_thread = O_EXCL;

// Of its numbers nothing here is a pointer.
iovec other_memory(std::uint64_t address, std::size_t size) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return {.iov_base = reinterpret_cast<void*>(address), .iov_len = size};
}

std::string proc(pid_t thread, std::string_view name) {
  return "/proc/" + std::to_string(thread) + "/" + std::string(name);
}

// All of a file of /proc, in large pieces: the kernel makes each line anew.
Result<std::string> read_all(const UniqueFd& file) {
  constexpr std::size_t piece = 65536;
  std::string text;
  for (std::size_t used = 0;;) {
    text.resize(used + piece);
    const ssize_t count = ::read(file.get(), text.data() + used, piece);
    if (count < 0) return fail_errno("the process cannot be looked at");
    used += static_cast<std::size_t>(count);
    text.resize(used);
    if (count == 0) return text;
  }
}

// The words behind "Name:" in /proc/PID/status.
std::optional<std::string> status_line(pid_t thread, std::string_view name) {
  std::ifstream file(proc(thread, "status"));
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
      return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  return std::nullopt;
}

template <typename T>
std::optional<T> take_number(std::string_view& text, int base) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool skip(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

// begin-end rwxs offset major:minor inode path
std::optional<MemoryArea> parse_area(std::string_view line) {
  MemoryArea area;
  const auto begin = take_number<std::uint64_t>(line, 16);
  if (!begin || !skip(line, '-')) return std::nullopt;
  const auto end = take_number<std::uint64_t>(line, 16);
  if (!end || line.size() < 6) return std::nullopt;
  area.begin = *begin;
  area.end = *end;
  area.readable = line[1] == 'r';
  area.writable = line[2] == 'w';
  area.shared = line[4] == 's';
  line.remove_prefix(6);
  const auto offset = take_number<std::uint64_t>(line, 16);
  if (!offset || !skip(line, ' ')) return std::nullopt;
  const auto major = take_number<unsigned>(line, 16);
  if (!major || !skip(line, ':')) return std::nullopt;
  const auto minor = take_number<unsigned>(line, 16);
  if (!minor || !skip(line, ' ')) return std::nullopt;
  const auto inode = take_number<ino_t>(line, 10);
  if (!inode) return std::nullopt;
  area.offset = *offset;
  area.file = {.device = makedev(*major, *minor), .inode = *inode};
  return area;
}

Result<std::string> name_at(const std::string& link) {
  std::array<char, PATH_MAX> text{};
  const ssize_t length = ::readlink(link.c_str(), text.data(), text.size());
  if (length < 0 && errno == ENOENT) return fail(EBADF, "the process has no such descriptor");
  if (length < 0) return fail_errno("cannot look at the process's descriptor");
  return std::string(text.data(), static_cast<std::size_t>(length));
}

Result<FileIdentity> identity_at(int directory, const char* path, int flags) {
  struct statx status{};
  if (::statx(directory, path, flags | AT_STATX_DONT_SYNC, STATX_INO, &status) != 0)
    return fail_errno("cannot look at the file");
  return FileIdentity{.device = makedev(status.stx_dev_major, status.stx_dev_minor), .inode = status.stx_ino};
}

}  // namespace

Result<FileIdentity> identity_of(int fd) {
  return identity_at(fd, "", AT_EMPTY_PATH);
}

Result<std::string> name_of(int fd) {
  return name_at("/proc/self/fd/" + std::to_string(fd));
}

Result<dev_t> device_of(const std::string& path) {
  return UMDEV_TRY(identity_at(AT_FDCWD, path.c_str(), 0)).device;
}

Result<FileIdentity> identity_of_fd_of(pid_t thread, int fd) {
  auto found = identity_at(AT_FDCWD, proc(thread, "fd/" + std::to_string(fd)).c_str(), 0);
  if (!found && found.error().code == ENOENT) return fail(EBADF, "the process has no such descriptor");
  return found;
}

std::vector<MemoryArea> parse_areas(std::string_view maps, std::uint64_t begin, std::uint64_t end) {
  std::vector<MemoryArea> areas;
  while (!maps.empty()) {
    const auto area = parse_area(maps.substr(0, maps.find('\n')));
    if (!area || area->begin >= end) break;
    if (area->end > begin) areas.push_back(*area);
    maps.remove_prefix(std::min(maps.find('\n'), maps.size() - 1) + 1);
  }
  return areas;
}

Result<std::shared_ptr<Process>> Process::open(pid_t thread) {
  if (thread <= 0) return fail(ESRCH, "a process that cannot be seen from here");
  auto handle = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, thread, pidfd_thread)));
  const auto group = status_line(thread, "Tgid");
  const auto users = status_line(thread, "Uid");
  if (!group || !users) return fail(ESRCH, "no such process");
  std::string_view group_text = *group;
  std::string_view user_text = *users;
  user_text.remove_prefix(std::min(user_text.find('\t'), user_text.size() - 1) + 1);
  const auto id = take_number<pid_t>(group_text, 10);
  const auto user = take_number<uid_t>(user_text, 10);
  if (!id || !user) return fail(ESRCH, "no such process");
  if (!handle) handle = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, *id, 0)));
  if (!handle) return fail_errno("the process cannot be held");
  std::shared_ptr<Process> process(new Process(thread, *id, *user, std::move(handle)));
  // What was read above was of the one that is held now, if that still lives.
  if (!process->is_alive()) return fail(ESRCH, "the process has ended");
  return process;
}

std::string Process::path(std::string_view name) const {
  return proc(thread_, name);
}

bool Process::is_alive() const {
  pollfd ended{.fd = handle_.get(), .events = POLLIN, .revents = 0};
  return retry_interrupted([&] { return ::poll(&ended, 1, 0); }) == 0;
}

Result<> Process::read(std::uint64_t address, Bytes into) const {
  if (into.empty()) return {};
  const iovec local{.iov_base = into.data(), .iov_len = into.size()};
  const iovec remote = other_memory(address, into.size());
  const ssize_t count = ::process_vm_readv(thread_, &local, 1, &remote, 1, 0);
  if (count < 0 && errno != EFAULT) return fail_errno("the process's memory cannot be read");
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  if (static_cast<std::size_t>(count) != into.size()) return fail(EFAULT, "no such memory");
  return {};
}

Result<> Process::write(std::uint64_t address, ConstBytes from) const {
  if (from.empty()) return {};
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  const iovec local{.iov_base = const_cast<std::byte*>(from.data()), .iov_len = from.size()};
  const iovec remote = other_memory(address, from.size());
  const ssize_t count = ::process_vm_writev(thread_, &local, 1, &remote, 1, 0);
  if (count < 0 && errno != EFAULT) return fail_errno("the process's memory cannot be written");
  if (static_cast<std::size_t>(count) != from.size()) return fail(EFAULT, "no such memory, or read-only");
  return {};
}

Result<UniqueFd> Process::take_fd(int fd) const {
  UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, handle_.get(), fd, 0)));
  if (!taken) return fail_errno("the process's descriptor cannot be had");
  return taken;
}

Result<FileIdentity> Process::identity_of_fd(int fd) const {
  auto found = identity_of_fd_of(thread_, fd);
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  return found;
}

Result<std::string> Process::name_of_fd(int fd) const {
  return name_at(path("fd/" + std::to_string(fd)));
}

Result<std::vector<MemoryArea>> Process::areas(std::uint64_t begin, std::uint64_t end) const {
  const UniqueFd maps(::open(path("maps").c_str(), O_RDONLY | O_CLOEXEC));
  if (!maps) {
    const int error = errno;
    if (!is_alive()) return fail(ESRCH, "the process has ended");
    return fail(error, "the process cannot be looked at");
  }
  auto areas = query_areas(maps.get(), begin, end);
  if (!areas && areas.error().code == ENOTTY) {
    const auto text = read_all(maps);
    areas = text ? parse_areas(*text, begin, end)
                 : Result<std::vector<MemoryArea>>(std::unexpected(text.error()));
  }
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  return areas;
}

Result<UniqueFd> Process::open_file_of(const MemoryArea& area, bool writable) const {
  if (!area.shared || area.file.inode == 0) return fail(ENOENT, "the memory is of no file");
  const int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC;
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "map_files/%llx-%llx", static_cast<unsigned long long>(area.begin),
                static_cast<unsigned long long>(area.end));
  const auto is_it = [&](const UniqueFd& fd) {
    if (!fd) return false;
    const auto identity = identity_of(fd.get());
    return identity && *identity == area.file;
  };
  if (UniqueFd fd(::open(path(name.data()).c_str(), flags)); is_it(fd)) return fd;
  // Whoever may not do that finds it among the process's descriptors, if it kept one.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path("fd"), error)) {
    const auto identity = identity_at(AT_FDCWD, entry.path().c_str(), 0);
    if (!identity || *identity != area.file) continue;
    if (UniqueFd fd(::open(entry.path().c_str(), flags)); is_it(fd)) return fd;
  }
  return fail(ENOENT, "the file behind the memory cannot be had");
}

Result<UniqueFd> Process::open_memory(bool for_writing) const {
  UniqueFd fd(::open(path("mem").c_str(), (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return fail_errno("the process's memory cannot be held");
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  return fd;
}

Result<uid_t> Process::owner() const {
  struct stat status{};
  if (::stat(path("").c_str(), &status) != 0) return fail(ESRCH, "the process has ended");
  if (!is_alive()) return fail(ESRCH, "the process has ended");
  return status.st_uid;
}

std::uint64_t Process::capabilities() const {
  std::error_code theirs;
  std::error_code ours;
  if (std::filesystem::read_symlink(path("ns/user"), theirs) !=
          std::filesystem::read_symlink("/proc/self/ns/user", ours) ||
      theirs || ours)
    return 0;
  const auto text = status_line(thread_, "CapEff");
  std::string_view number = text ? *text : std::string_view();
  return take_number<std::uint64_t>(number, 16).value_or(0);
}

// Reading is 0 when it has gone. Where nothing is mapped, and so in a page that nobody maps, it is EIO.
bool is_address_space_alive(int memory) {
  std::byte byte{};
  return ::pread(memory, &byte, sizeof byte, 0) != 0;
}

}  // namespace umdev::os
