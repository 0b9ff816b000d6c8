// A class: devices of one use, whatever they hang on.
#pragma once

#include <memory>
#include <string>

#include "umdev/tree/transaction.h"

namespace umdev::device {

class Device;
class Model;

// class/<name>, a directory of links to the class's devices. Shared by its owner and by every device in it;
// the directory goes with the last of them. All members from any thread.
class Class {
 public:
  // The model must outlive it. EEXIST, EINVAL (the name).
  static Result<std::shared_ptr<Class>> create(Model& model, std::string name);

  const std::string& name() const { return name_; }
  tree::Directory directory() const { return nodes_.directory(); }

  // Links a device that is not of this class: class/<name>/<device>. What the kernel calls a compatibility
  // class (mdev_bus) has nothing but such links. EEXIST.
  Result<tree::NodeHandle> add_link(const Device& device) const;

 private:
  Class(std::string name, tree::NodeHandle nodes) : name_(std::move(name)), nodes_(std::move(nodes)) {}

  const std::string name_;
  tree::NodeHandle nodes_;
};

}  // namespace umdev::device
