#include "umdev/uapi/file_system.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <optional>

#include "umdev/abi/iommufd.h"
#include "umdev/abi/supervised.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/uapi/open_file.h"

namespace umdev::uapi {
namespace {

constexpr const char* groups_directory = "class/vfio";
constexpr const char* devices_directory = "class/vfio-dev";
constexpr std::string_view no_iommu_prefix = "noiommu-";
constexpr std::string_view device_prefix = "vfio";

// The whole text is a number; nothing else.
std::optional<std::uint64_t> number_of(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

FileSystem::FileSystem(tree::Tree& tree, Opener& opener, Log& log, std::int64_t time, Owner owner,
                       const Limits& limits, ProgramTracers* tracers, Executor* second_copier)
    : tree_(tree),
      opener_(opener),
      log_(log),
      time_(time),
      owner_(owner),
      limits_(limits),
      tracers_(tracers),
      programs_(files_, limits, second_copier) {
  Lock lock(mutex_);
  for (const Kind kind : {Kind::root, Kind::vfio_directory, Kind::devices_directory, Kind::new_directory})
    inodes_.emplace(static_cast<fuse::NodeId>(kind) + fuse::root_id,
                    Inode{.name = {.kind = kind}, .references = 1});
}

// --- Names.

Result<FileSystem::Name> FileSystem::find_in_class(Kind kind, const char* directory,
                                                   std::string_view name) const {
  const tree::NodeRef parent = UMDEV_TRY(tree_.resolve(directory));
  const tree::NodeRef node = UMDEV_TRY(tree_.child(parent, name));
  std::string_view digits = name;
  if (kind == Kind::device && digits.starts_with(device_prefix)) digits.remove_prefix(device_prefix.size());
  if (kind == Kind::group && digits.starts_with(no_iommu_prefix))
    digits.remove_prefix(no_iommu_prefix.size());
  const auto number = number_of(digits);
  if (!number) return fail(ENOENT, "no device has such a node");
  return Name{.kind = kind, .number = *number, .tree_inode = tree_.info(node).inode};
}

Result<FileSystem::Name> FileSystem::find_name(Kind directory, std::string_view name) const {
  switch (directory) {
    case Kind::root:
      if (name == "vfio") return Name{.kind = Kind::vfio_directory};
      if (name == "iommu") return Name{.kind = Kind::iommufd};
      if (name == abi::supervisor_node_name) return Name{.kind = Kind::supervisor};
      if (name == abi::new_files_directory_name) return Name{.kind = Kind::new_directory};
      break;
    case Kind::vfio_directory:
      if (name == "vfio") return Name{.kind = Kind::container};
      if (name == "devices") return Name{.kind = Kind::devices_directory};
      return find_in_class(Kind::group, groups_directory, name);
    case Kind::devices_directory:
      return find_in_class(Kind::device, devices_directory, name);
    case Kind::new_directory:
      if (const auto token = number_of(name, 16); token && new_files_->contains(*token))
        return Name{.kind = Kind::new_file, .number = *token};
      break;
    default:
      return fail(ENOTDIR, "no directory");
  }
  return fail(ENOENT, "no such node");
}

Result<FileSystem::Name> FileSystem::name_of(fuse::NodeId id) const {
  Lock lock(mutex_);
  const auto found = inodes_.find(id);
  if (found == inodes_.end()) return fail(ESTALE, "the node has been forgotten");
  return found->second.name;
}

FileSystem::Permissions FileSystem::permissions_of(const Name& name) const {
  const auto changed = changed_.find(name);
  if (changed != changed_.end()) return changed->second;
  std::uint32_t mode = 0600;
  // A container alone reaches nothing; a new file is found only by whoever was told its token.
  if (name.kind == Kind::container || name.kind == Kind::new_file || name.kind == Kind::supervisor)
    mode = 0666;
  if (name.kind == Kind::iommufd) mode = 0660;
  if (is_directory(name.kind)) mode = 0755;
  // Only found, never listed.
  if (name.kind == Kind::new_directory) mode = 0711;
  return {.mode = mode, .uid = owner_.uid, .gid = owner_.gid};
}

fuse::Attributes FileSystem::attributes_of(const Name& name, fuse::NodeId id) const {
  const Permissions permissions = permissions_of(name);
  return {.inode = id,
          .mode = permissions.mode | (is_directory(name.kind) ? S_IFDIR : S_IFREG),
          .links = is_directory(name.kind) ? 2U : 1U,
          .uid = permissions.uid,
          .gid = permissions.gid,
          .size = 0,
          .time = time_};
}

Result<fuse::Found> FileSystem::lookup(fuse::NodeId directory, const char* name) {
  const Name parent = UMDEV_TRY(name_of(directory));
  const Name found = UMDEV_TRY(find_name(parent.kind, name));
  Lock lock(mutex_);
  const fuse::NodeId id =
      is_directory(found.kind) ? static_cast<fuse::NodeId>(found.kind) + fuse::root_id : ++last_;
  Inode& inode = inodes_[id];
  inode.name = found;
  ++inode.references;
  return fuse::Found{.id = id, .attributes = attributes_of(found, id)};
}

void FileSystem::forget(fuse::NodeId id, std::uint64_t references) {
  Lock lock(mutex_);
  const auto found = inodes_.find(id);
  if (found == inodes_.end() || is_directory(found->second.name.kind)) return;
  if (found->second.references > references)
    found->second.references -= references;
  else
    inodes_.erase(found);
}

Result<fuse::Attributes> FileSystem::attributes(fuse::NodeId id) {
  const Name name = UMDEV_TRY(name_of(id));
  Lock lock(mutex_);
  return attributes_of(name, id);
}

Result<fuse::Attributes> FileSystem::change(fuse::NodeId id, const fuse::Change& change) {
  const Name name = UMDEV_TRY(name_of(id));
  if (change.permissions || change.uid || change.gid) {
    Lock lock(mutex_);
    Permissions permissions = permissions_of(name);
    if (change.permissions) permissions.mode = *change.permissions & 07777U;
    if (change.uid) permissions.uid = *change.uid;
    if (change.gid) permissions.gid = *change.gid;
    if (changed_.size() >= limits_.changed_nodes) changed_.clear();
    changed_[name] = permissions;
  }
  Lock lock(mutex_);
  return attributes_of(name, id);
}

Result<std::string> FileSystem::read_link(fuse::NodeId) {
  return fail(EINVAL, "no link");
}

Error FileSystem::refuse_creation(fuse::NodeId) {
  return {EACCES, "nodes are made by the devices"};
}

bool FileSystem::depends_on_closes(std::uint32_t command) const {
  switch (command) {
    case abi::vfio_group_set_container:
    case abi::vfio_group_unset_container:
    case abi::vfio_group_get_device_fd:
    case abi::vfio_device_bind_iommufd:
    case abi::iommu_destroy:
    // What it may charge to its user depends on what a closed file had charged. (Its number is that of
    // VFIO_DEVICE_PCI_HOT_RESET, too, which asks who has the other functions open.)
    case abi::vfio_iommu_map_dma:
    case abi::iommu_ioas_map:
    case abi::iommu_ioas_map_file:
    // Carries any of these.
    case abi::supervised_ioctl:
      return true;
    default:
      return false;
  }
}

// --- Opening.

Result<std::shared_ptr<ioctl::File>> FileSystem::open_node(const Name& name,
                                                           const ioctl::Credentials& credentials) {
  switch (name.kind) {
    case Kind::container:
      return opener_.open_container(credentials);
    case Kind::group:
      return opener_.open_group(static_cast<std::uint32_t>(name.number), credentials);
    case Kind::device:
      return opener_.open_device(static_cast<std::uint32_t>(name.number), credentials);
    case Kind::iommufd:
      return opener_.open_iommufd(credentials);
    case Kind::new_file:
      if (auto file = new_files_->take(name.number)) return file;
      return fail(ENOENT, "somebody has opened it");
    default:
      return fail(EISDIR, "no file");
  }
}

Result<std::shared_ptr<fuse::File>> FileSystem::open(const fuse::Caller& caller, fuse::NodeId id, bool,
                                                     bool) {
  const Name name = UMDEV_TRY(name_of(id));
  if (name.kind == Kind::supervisor)
    return std::make_shared<Supervisor>(files_, programs_, new_files_, limits_, log_, tracers_);
  const auto program = programs_.call_of(caller);
  UMDEV_TRY(program->check());
  auto file = UMDEV_TRY(open_node(name, program->credentials()));
  return UMDEV_TRY(OpenFile::create(std::move(file), id, files_, programs_));
}

// The names that there were when it was listed from the beginning.
class FileSystem::Listing final : public fuse::Directory {
 public:
  Listing(const FileSystem& owner, Kind kind) : owner_(owner), kind_(kind) {}

  Result<> list(std::uint64_t offset, fuse::DirectorySink& sink) override {
    if (offset == 0) entries_ = collect();
    for (; offset < entries_.size(); ++offset) {
      const auto& [name, kind] = entries_[offset];
      const std::uint32_t type = is_directory(kind) ? S_IFDIR : S_IFREG;
      if (!sink.add(name, static_cast<std::uint64_t>(kind) + fuse::root_id, type, offset + 1)) break;
    }
    return {};
  }

 private:
  using Entries = std::vector<std::pair<std::string, Kind>>;

  void add_class(Entries& entries, Kind kind, const char* directory) const {
    const auto names = owner_.tree_.list(directory);
    if (!names) return;  // nothing of it was ever there
    for (const std::string& name : *names)
      if (owner_.find_in_class(kind, directory, name)) entries.emplace_back(name, kind);
  }

  Entries collect() const {
    Entries entries{{".", kind_}, {"..", Kind::root}};
    if (kind_ == Kind::root) {
      entries.emplace_back("vfio", Kind::vfio_directory);
      entries.emplace_back("iommu", Kind::iommufd);
    } else if (kind_ == Kind::vfio_directory) {
      entries.emplace_back("vfio", Kind::container);
      entries.emplace_back("devices", Kind::devices_directory);
      add_class(entries, Kind::group, groups_directory);
    } else if (kind_ == Kind::devices_directory) {
      add_class(entries, Kind::device, devices_directory);
    }
    return entries;
  }

  const FileSystem& owner_;
  const Kind kind_;
  Entries entries_;
};

Result<std::shared_ptr<fuse::Directory>> FileSystem::open_directory(fuse::NodeId id) {
  return std::make_shared<Listing>(*this, UMDEV_TRY(name_of(id)).kind);
}

}  // namespace umdev::uapi
