// The device model: devices on buses and in classes, bound to drivers, in the kernel's words, published into
// a tree with the kernel's paths, and told of by events.
//
// Lock order (outer first; no lock of this room is taken while another of it is held, but for the first
// line):
//   Model::mutex_ (shared parent directories) > the tree's locks
//   EventBatch::mutex_ > Events::mutex_ > the feed's locks
//   Bus::mutex_, Driver::mutex_, Device::mutex_: each alone
// No lock is held while a driver, an observer, a match, a show, a store or a completion runs. What must be
// one at a time for a device (probe, remove) is so by the device's state, in which further requests queue.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "umdev/device/event.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/transaction.h"

namespace umdev::device {

// The roots. Makes devices/, devices/virtual/, bus/, class/, kernel/iommu_groups/ in the tree, which may hold
// more. Must outlive every bus, class, driver registration and device made with it; the tree must outlive the
// model. Two models live side by side, each with a tree of its own. All members from any thread.
class Model {
 public:
  // EEXIST when the tree has one of the roots already.
  static Result<std::unique_ptr<Model>> create(tree::Tree& tree);

  tree::Tree& tree() const { return tree_; }
  Events& events() { return events_; }
  tree::Directory devices() const { return devices_; }
  tree::Directory virtual_devices() const { return virtual_devices_; }
  tree::Directory buses() const { return buses_; }
  tree::Directory classes() const { return classes_; }
  tree::Directory iommu_groups() const { return iommu_groups_; }

 private:
  friend class Device;
  friend class SharedDirectory;
  explicit Model(tree::Tree& tree) : tree_(tree) {}
  Result<> publish();

  struct Shared {
    tree::NodeHandle nodes;
    std::size_t users = 0;
  };
  using SharedKey = std::pair<tree::NodeRef, std::string>;

  tree::Tree& tree_;
  Events events_;
  tree::NodeHandle roots_;
  tree::Directory devices_;
  tree::Directory virtual_devices_;
  tree::Directory buses_;
  tree::Directory classes_;
  tree::Directory iommu_groups_;

  Mutex mutex_;
  std::map<SharedKey, Shared> shared_ UMDEV_GUARDED_BY(mutex_);
};

// A share in a directory that several devices are in, made with the first and removed with the last: the
// directory <class> between a parent and its devices of that class (the kernel's glue directory), as in
// devices/virtual/mtty/mtty or <parent>/vfio-dev/vfio0.
class SharedDirectory {
 public:
  SharedDirectory() = default;
  SharedDirectory(SharedDirectory&& other) noexcept;
  SharedDirectory& operator=(SharedDirectory&& other) noexcept;
  ~SharedDirectory();

  static Result<SharedDirectory> acquire(Model& model, const tree::Directory& parent, std::string name);
  tree::Directory directory() const { return directory_; }

 private:
  void release();

  Model* model_ = nullptr;
  tree::NodeRef parent_;
  tree::Directory directory_;
  const std::string* name_ = nullptr;  // the key's, in the model's map
};

}  // namespace umdev::device
