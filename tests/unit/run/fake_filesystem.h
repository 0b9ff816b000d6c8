// A host made of names.
#pragma once

#include <map>

#include "umdev/run/filesystem.h"

namespace umdev::run {

class FakeFilesystem final : public Filesystem {
 public:
  FakeFilesystem() { entries_["/"] = {EntryType::directory, ""}; }

  // With all directories above it.
  FakeFilesystem& directory(const std::string& path) { return put(path, EntryType::directory, ""); }
  FakeFilesystem& file(const std::string& path) { return put(path, EntryType::file, ""); }
  FakeFilesystem& link(const std::string& path, const std::string& target) {
    return put(path, EntryType::link, target);
  }
  // Everything that is asked below it is refused.
  void forbid(const std::string& path) { forbidden_ = path; }

  std::optional<EntryType> type_of(const std::string& path) const override {
    const auto found = entries_.find(path);
    if (found == entries_.end()) return std::nullopt;
    return found->second.type;
  }

  Result<std::vector<Entry>> list(const std::string& path) const override {
    if (path == forbidden_) return fail(EACCES, "forbidden");
    const auto type = type_of(path);
    if (!type) return fail(ENOENT, "not there");
    if (*type != EntryType::directory) return fail(ENOTDIR, "no directory");
    const std::string prefix = path == "/" ? path : path + "/";
    std::vector<Entry> entries;
    for (const auto& [name, entry] : entries_)
      if (name.starts_with(prefix) && name != "/" && name.find('/', prefix.size()) == std::string::npos)
        entries.push_back({name.substr(prefix.size()), entry.type});
    return entries;
  }

  Result<std::string> read_link(const std::string& path) const override {
    const auto found = entries_.find(path);
    if (found == entries_.end() || found->second.type != EntryType::link) return fail(EINVAL, "no link");
    return found->second.target;
  }

 private:
  struct Node {
    EntryType type = EntryType::file;
    std::string target;
  };

  FakeFilesystem& put(const std::string& path, EntryType type, const std::string& target) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
      entries_.try_emplace(path.substr(0, slash), Node{EntryType::directory, ""});
    entries_[path] = {type, target};
    return *this;
  }

  std::map<std::string, Node> entries_;
  std::string forbidden_;
};

}  // namespace umdev::run
