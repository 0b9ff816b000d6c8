// What a plan is made from: the names on a host, looked at without changing anything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "umdev/support/error.h"

namespace umdev::run {

enum class EntryType {
  directory,
  file,
  link
};  // a file is also what is none of the others (a device, a socket)

struct Entry {
  std::string name;
  EntryType type = EntryType::file;
};

// Paths are absolute. Links in all but the last component are followed, the last one's is not.
class Filesystem {
 public:
  virtual ~Filesystem() = default;
  // Nothing when there is none, or it cannot be seen.
  virtual std::optional<EntryType> type_of(const std::string& path) const = 0;
  // In the order of the names. ENOENT, ENOTDIR, EACCES.
  virtual Result<std::vector<Entry>> list(const std::string& path) const = 0;
  virtual Result<std::string> read_link(const std::string& path) const = 0;
};

// The one that this process sees.
class HostFilesystem final : public Filesystem {
 public:
  std::optional<EntryType> type_of(const std::string& path) const override;
  Result<std::vector<Entry>> list(const std::string& path) const override;
  Result<std::string> read_link(const std::string& path) const override;
};

}  // namespace umdev::run
