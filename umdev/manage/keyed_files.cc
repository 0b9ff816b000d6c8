#include "umdev/manage/keyed_files.h"

namespace umdev::manage {
namespace {

constexpr mode_t directory_mode = 0755;
constexpr mode_t file_mode = 0644;

// As is_file_name() has it, so that "." and ".." are none.
Result<> check_parent(const std::string& parent) {
  if (!is_parent_name(parent)) return fail(EINVAL, "that is no name of a parent");
  return {};
}

}  // namespace

Result<os::UniqueFd> KeyedFiles::open_parent(const std::string& parent) const {
  UMDEV_TRY(check_parent(parent));
  const auto directory = UMDEV_TRY(os::open_for_sync(directory_));
  return os::open_for_sync(directory.get(), parent);
}

Result<KeyedFiles::Listing> KeyedFiles::list() const {
  const auto directory = UMDEV_TRY(os::open_for_sync(directory_));
  Listing listing;
  for (const std::string& parent : UMDEV_TRY(os::list_directory(directory.get()))) {
    if (!is_parent_name(parent)) continue;
    const auto opened = os::open_for_sync(directory.get(), parent);
    if (!opened) {
      listing.strangers.emplace_back(parent, opened.error().text);
      continue;
    }
    const auto names = os::list_directory(opened->get());
    if (!names) {
      listing.strangers.emplace_back(parent, names.error().text);
      continue;
    }
    for (const std::string& name : *names) {
      const auto uuid = Uuid::parse(name);
      if (uuid && uuid->to_string() == name) {
        listing.keys.push_back({.parent = parent, .uuid = *uuid});
        continue;
      }
      std::string path = parent;
      path.append("/").append(name);
      listing.strangers.emplace_back(std::move(path), "its name is no UUID in lower case");
    }
  }
  return listing;
}

Result<std::string> KeyedFiles::read(const DefinitionKey& key) const {
  const auto parent = UMDEV_TRY(open_parent(key.parent));
  return os::read_file(parent.get(), key.uuid.to_string(), size_max_);
}

Result<> KeyedFiles::write(const DefinitionKey& key, std::string_view text) {
  UMDEV_TRY(check_parent(key.parent));
  const auto directory = UMDEV_TRY(os::open_for_sync(directory_));
  UMDEV_TRY(os::make_directory(*calls_, directory.get(), key.parent, directory_mode));
  const auto parent = UMDEV_TRY(os::open_for_sync(directory.get(), key.parent));
  const auto scratch = UMDEV_TRY(os::open_for_sync(scratch_));
  return os::replace_file(*calls_, scratch.get(), parent.get(), key.uuid.to_string(), text, file_mode);
}

Result<> KeyedFiles::remove(const DefinitionKey& key) {
  const auto parent = UMDEV_TRY(open_parent(key.parent));
  return os::remove_file(*calls_, parent.get(), key.uuid.to_string());
}

Result<std::vector<std::string>> KeyedFiles::find(const Uuid& uuid) const {
  const auto directory = UMDEV_TRY(os::open_for_sync(directory_));
  std::vector<std::string> parents;
  for (const std::string& parent : UMDEV_TRY(os::list_directory(directory.get()))) {
    if (!is_parent_name(parent)) continue;
    if (auto text = read({.parent = parent, .uuid = uuid}); text || text.error().code != ENOENT)
      if (!(!text && text.error().code == ENOTDIR)) parents.push_back(parent);
  }
  return parents;
}

}  // namespace umdev::manage
