#include "umdev/fuse/left_behind.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "umdev/os/system_error.h"

namespace umdev::fuse {
namespace {

std::string_view take_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  return word;
}

// mountinfo writes blank, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view word) {
  std::string text;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] != '\\' || at + 3 >= word.size()) {
      text += word[at];
      continue;
    }
    text += static_cast<char>((word[at + 1] - '0') * 64 + (word[at + 2] - '0') * 8 + (word[at + 3] - '0'));
    at += 3;
  }
  return text;
}

// ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [FIELD ...] - TYPE SOURCE SUPER
bool is_mount_of(std::string_view line, std::string_view path, std::string_view type) {
  for (int skipped = 0; skipped < 4; ++skipped) take_word(line);
  if (unescape(take_word(line)) != path) return false;
  while (!line.empty() && take_word(line) != "-") {
  }
  return take_word(line) == type;
}

// Its messages are for nobody: that it failed is said by its status.
Result<> run_fusermount(const std::string& path) {
  std::array<const char*, 6> arguments{"fusermount3", "-u", "-q", "-z", path.c_str(), nullptr};
  pid_t pid = 0;
  if (::posix_spawnp(&pid, arguments[0], nullptr, nullptr, const_cast<char**>(arguments.data()), environ) !=
      0)
    return fail(ENOENT, "fusermount3 cannot be run");
  int status = 0;
  if (os::retry_interrupted([&] { return ::waitpid(pid, &status, 0); }) != pid || status != 0)
    return fail(EPERM, "fusermount3 does not take the mount away");
  return {};
}

}  // namespace

std::size_t count_mounts(std::string_view mount_info, std::string_view path, std::string_view name) {
  const std::string type = "fuse." + std::string(name);
  std::size_t count = 0;
  while (!mount_info.empty()) {
    const std::string_view line = mount_info.substr(0, mount_info.find('\n'));
    mount_info.remove_prefix(std::min(line.size() + 1, mount_info.size()));
    if (is_mount_of(line, path, type)) ++count;
  }
  return count;
}

Result<> detach_mount(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) == 0) return {};
  if (errno != EPERM) return os::fail_errno("the mount cannot be taken away");
  return run_fusermount(path);
}

// Not the last part: that is the mount itself, whose server may hang.
Result<std::string> resolve_mount_point(const std::string& path) {
  std::error_code error;
  const std::filesystem::path given(path);
  const auto above = std::filesystem::canonical(given.parent_path(), error);
  if (error) return fail(error.value(), "the directory of the mount cannot be found");
  return (above / given.filename()).string();
}

Result<> detach_left_behind(const std::string& given_path, std::string_view name) {
  const auto path = resolve_mount_point(given_path);
  if (!path) return {};  // nothing can be mounted there
  std::ifstream file("/proc/self/mountinfo");
  const std::string mount_info{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t left = count_mounts(mount_info, *path, name); left > 0; --left)
    UMDEV_TRY(detach_mount(*path));
  return {};
}

}  // namespace umdev::fuse
