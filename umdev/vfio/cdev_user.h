// A device that is used by its own node, bound to an iommufd, instead of through its group.
#pragma once

#include <memory>
#include <utility>

#include "umdev/vfio/group.h"

namespace umdev::vfio {

// While one lives, the group cannot be opened. Move-only.
class CdevUser {
 public:
  // `owner`: who owns the group's DMA meanwhile (an iommufd, with which several devices of a group may be).
  // EBUSY: the group is open, or its DMA is owned by somebody else; ENODEV: it has no device any more.
  static Result<CdevUser> acquire(std::shared_ptr<Group> group, const void* owner) {
    UMDEV_TRY(group->add_cdev_user(owner));
    return CdevUser(std::move(group), owner);
  }
  CdevUser(CdevUser&& other) noexcept = default;
  CdevUser& operator=(CdevUser&&) = delete;
  ~CdevUser() { release(); }

  void release() {
    if (group_) group_->remove_cdev_user(owner_);
    group_.reset();
  }

 private:
  CdevUser(std::shared_ptr<Group> group, const void* owner) : group_(std::move(group)), owner_(owner) {}
  std::shared_ptr<Group> group_;
  const void* owner_;
};

}  // namespace umdev::vfio
