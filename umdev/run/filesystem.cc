#include "umdev/run/filesystem.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>

#include "umdev/os/system_error.h"

namespace umdev::run {
namespace {

EntryType type_of_mode(mode_t mode) {
  if (S_ISDIR(mode)) return EntryType::directory;
  return S_ISLNK(mode) ? EntryType::link : EntryType::file;
}

}  // namespace

std::optional<EntryType> HostFilesystem::type_of(const std::string& path) const {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return type_of_mode(status.st_mode);
}

Result<std::vector<Entry>> HostFilesystem::list(const std::string& path) const {
  std::error_code error;
  std::filesystem::directory_iterator names(path, error);
  std::vector<Entry> entries;
  while (!error && names != std::filesystem::directory_iterator()) {
    std::string name = names->path().filename().string();
    // Gone since: devices come and go while this looks.
    if (const auto type = type_of(names->path())) entries.push_back({std::move(name), *type});
    names.increment(error);
  }
  if (error) return fail(error.value(), "cannot list the directory");
  std::sort(entries.begin(), entries.end(),
            [](const Entry& left, const Entry& right) { return left.name < right.name; });
  return entries;
}

Result<std::string> HostFilesystem::read_link(const std::string& path) const {
  std::string text(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) return os::fail_errno("cannot read the link");
  text.resize(static_cast<std::size_t>(length));
  return text;
}

}  // namespace umdev::run
