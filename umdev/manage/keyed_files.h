// A directory of small files DIRECTORY/PARENT/UUID, each of which is whole whatever happens.
#pragma once

#include <string>
#include <vector>

#include "umdev/manage/definition.h"
#include "umdev/os/durable_file.h"

namespace umdev::manage {

// Any thread; two changes of one key at a time are the caller's to prevent. What others do to the files
// (mdevctl does) is seen at once, since nothing is kept in memory. No name leads out of the directory, and no
// link is followed.
class KeyedFiles {
 public:
  // `scratch` is a directory of the same file system. The calls outlive it.
  KeyedFiles(std::string directory, std::string scratch, os::FileCalls& calls = os::system_file_calls(),
             std::size_t size_max = definition_size_max)
      : directory_(std::move(directory)), scratch_(std::move(scratch)), calls_(&calls), size_max_(size_max) {}

  struct Listing {
    std::vector<DefinitionKey> keys;  // sorted
    // What is no such file: its path below the directory, and why.
    std::vector<std::pair<std::string, std::string>> strangers;
  };
  Result<Listing> list() const;

  // ENOENT; EINVAL for a parent that cannot have files; os::read_file()'s.
  Result<std::string> read(const DefinitionKey& key) const;
  // Durable, and there for everybody, when it returns; see os::replace_file() for errors.
  Result<> write(const DefinitionKey& key, std::string_view text);
  // The same. ENOENT. The parent's directory stays.
  Result<> remove(const DefinitionKey& key);

  // The names of the parents that have a file of this UUID.
  Result<std::vector<std::string>> find(const Uuid& uuid) const;

  std::string path_of(const DefinitionKey& key) const {
    return directory_ + "/" + key.parent + "/" + key.uuid.to_string();
  }

 private:
  Result<os::UniqueFd> open_parent(const std::string& parent) const;

  std::string directory_;
  std::string scratch_;
  os::FileCalls* calls_;
  std::size_t size_max_;  // of one file, in bytes
};

}  // namespace umdev::manage
