// The nodes of the VFIO user API as a file system: vfio/vfio, vfio/N, vfio/devices/vfioN, iommu.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "umdev/fuse/file_system.h"
#include "umdev/tree/tree.h"
#include "umdev/uapi/opener.h"
#include "umdev/uapi/supervisor.h"

namespace umdev::uapi {

// Shows a node for each group and device that the tree has in class/vfio and class/vfio-dev, so they come and
// go with these. The tree, the opener and the log outlive it.
//
// Each lookup of a name that can be opened gives an inode of its own (see FileTable). Permissions are a
// kernel's: whoever may reach the container's node is everybody, a group or a device is its owner's; chmod
// and chown change that for as long as the node is there.
class FileSystem final : public fuse::FileSystem {
 public:
  struct Owner {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
  };

  // `time` (seconds since 1970) is every node's. Supervisors are lent the tracers, which outlive it; large
  // copies of programs' memory `second_copier`, which outlives that memory (MemoryCopier).
  FileSystem(tree::Tree& tree, Opener& opener, Log& log, std::int64_t time, Owner owner,
             const Limits& limits = {}, ProgramTracers* tracers = nullptr, Executor* second_copier = nullptr);

  // Tells it the number that stat shows for the mount; before it no descriptor is known to be of it.
  void set_device(dev_t device) { files_.set_device(device); }

  // ^fuse::FileSystem
  Result<fuse::Found> lookup(fuse::NodeId directory, const char* name) override UMDEV_EXCLUDES(mutex_);
  void forget(fuse::NodeId id, std::uint64_t references) override UMDEV_EXCLUDES(mutex_);
  Result<fuse::Attributes> attributes(fuse::NodeId id) override UMDEV_EXCLUDES(mutex_);
  Result<fuse::Attributes> change(fuse::NodeId id, const fuse::Change& change) override
      UMDEV_EXCLUDES(mutex_);
  Result<std::string> read_link(fuse::NodeId id) override;
  Result<std::shared_ptr<fuse::File>> open(const fuse::Caller& caller, fuse::NodeId id, bool for_reading,
                                           bool for_writing) override;
  Result<std::shared_ptr<fuse::Directory>> open_directory(fuse::NodeId id) override;
  bool depends_on_closes(std::uint32_t command) const override;
  Error refuse_creation(fuse::NodeId directory) override;

 private:
  enum class Kind : std::uint8_t {
    root,
    vfio_directory,
    devices_directory,
    new_directory,
    container,
    group,
    device,
    iommufd,
    supervisor,
    new_file
  };
  // A node: what it is, and which one.
  struct Name {
    Kind kind = Kind::root;
    std::uint64_t number = 0;      // of a group or a device; the token of a new file
    std::uint64_t tree_inode = 0;  // of what it stands for, which tells one from its successor
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Permissions {
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
  };
  struct Inode {
    Name name;
    std::uint64_t references = 0;
  };
  class Listing;

  static bool is_directory(Kind kind) { return kind <= Kind::new_directory; }
  Result<Name> find_name(Kind directory, std::string_view name) const;
  Result<Name> find_in_class(Kind kind, const char* directory, std::string_view name) const;
  Result<Name> name_of(fuse::NodeId id) const UMDEV_EXCLUDES(mutex_);
  Permissions permissions_of(const Name& name) const UMDEV_REQUIRES(mutex_);
  fuse::Attributes attributes_of(const Name& name, fuse::NodeId id) const UMDEV_REQUIRES(mutex_);
  Result<std::shared_ptr<ioctl::File>> open_node(const Name& name, const ioctl::Credentials& credentials);

  tree::Tree& tree_;
  Opener& opener_;
  Log& log_;
  const std::int64_t time_;
  const Owner owner_;
  const Limits limits_;
  ProgramTracers* const tracers_;
  FileTable files_;
  Programs programs_;
  const std::shared_ptr<NewFiles> new_files_ = std::make_shared<NewFiles>();

  mutable Mutex mutex_;
  fuse::NodeId last_ UMDEV_GUARDED_BY(mutex_) = 16;  // directories have the numbers below
  std::unordered_map<fuse::NodeId, Inode> inodes_ UMDEV_GUARDED_BY(mutex_);
  std::map<Name, Permissions> changed_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::uapi
