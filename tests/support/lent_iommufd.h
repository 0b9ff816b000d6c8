// An iommufd that a user brings: IOAS with a page each, and itself in a container's place.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/outcome.h"
#include "umdev/iommu/iommufd.h"

namespace umdev::test {

struct LentIommufd {
  explicit LentIommufd(CoreWorld& world)
      : fd(std::make_shared<iommu::Iommufd>(world.host.clock(), world.core->limits())) {}

  // With a page at 0.
  std::uint32_t add_ioas() const {
    const std::uint32_t id = fd->add_ioas().value();
    EXPECT_TRUE(fd->ioas(id).value()->map({.iova = 0,
                                           .length = iommu::page_size,
                                           .access = iommu::Access::read_write,
                                           .backing = std::make_shared<MemoryBacking>(iommu::page_size)}));
    return id;
  }
  // Destroys it if it is not.
  bool is_in_use(std::uint32_t object) const { return error_of(fd->destroy(object)) == EBUSY; }

  // The errno of opening a device by its group, with the iommufd in a container's place.
  int open(CoreWorld::Session& session, std::shared_ptr<vfio::GroupFile> group,
           const std::string& name) const {
    session.container =
        std::make_shared<vfio::Container>(std::make_shared<iommu::IoasAccess>(false), fd, vfio::Caller{});
    session.group = std::move(group);
    EXPECT_TRUE(session.group->set_container(session.container));
    auto opened = CoreWorld::get_device(*session.group, name);
    if (opened) session.device = std::move(*opened);
    return error_of(opened);
  }

  const std::shared_ptr<iommu::Iommufd> fd;
};

}  // namespace umdev::test
