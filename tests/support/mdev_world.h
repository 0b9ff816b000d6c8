// The whole of umdev below the doors, in one process, on a clock that stands still: parents are registered,
// instances created, and devices opened as a VFIO user opens them.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/core_world.h"
#include "tests/support/outcome.h"
#include "umdev/mdev/bus.h"
#include "umdev/mdev/vfio_mdev.h"

namespace umdev::test {

// A CoreWorld with the mdev bus and its generic driver. Not thread-safe.
class MdevWorld : public CoreWorld {
 public:
  MdevWorld() : MdevWorld(Options{}) {}
  explicit MdevWorld(const Options& options)
      : CoreWorld(options), bus(mdev::Bus::create(*model, host, options.limits).value()) {
    vfio_mdev_registration = bus->register_driver(std::make_shared<mdev::VfioMdev>(*core)).value();
    host.run();
  }
  // Registrations of parents have ended before.
  ~MdevWorld() {
    host.run();
    for (const auto& parent : parents_) {
      Outcome<> outcome;
      parent->remove(RemovePolicy::wait, outcome.done());
      host.run();
      EXPECT_TRUE(outcome.succeeded());
    }
  }

  // A fresh device devices/virtual/NAME/NAME, of a class of its own; removed with the world.
  std::shared_ptr<device::Device> add_physical(const std::string& name) {
    auto device = std::make_shared<device::Device>(
        *model,
        device::Device::Spec{.name = name, .device_class = device::Class::create(*model, name).value()});
    EXPECT_TRUE(device->add());
    parents_.push_back(device);
    return device;
  }
  // Registers a parent on a fresh device devices/virtual/NAME/NAME, so that its types are NAME-<type>.
  Registration register_parent(const std::string& name, mdev::ParentSpec spec,
                               std::unique_ptr<mdev::ParentDriver> driver) {
    spec.device = add_physical(name);
    Registration registration = bus->register_parent(std::move(spec), std::move(driver)).value();
    host.run();
    return registration;
  }

  // The n-th UUID of this world.
  static Uuid uuid(unsigned n) {
    char text[Uuid::text_length + 1];
    std::snprintf(text, sizeof(text), "%08x-0000-4000-8000-000000000000", n);
    return Uuid::parse(text).value();
  }
  // The errno of creating an instance, 0 for success.
  int create(const std::string& parent, const std::string& type, const Uuid& uuid) {
    Outcome<> outcome;
    bus->create({.parent = parent, .type = type, .uuid = uuid, .owner = {}, .attributes = {}},
                outcome.done());
    host.run();
    return outcome.error();
  }
  int remove(const Uuid& uuid, RemovePolicy policy = RemovePolicy::wait) {
    Outcome<> outcome;
    bus->remove(uuid, policy, outcome.done());
    host.run();
    return outcome.error();
  }

  // The group file of an instance, in no container yet.
  std::shared_ptr<vfio::GroupFile> open_group(const Uuid& uuid) {
    const auto device = bus->find(uuid).value()->vfio_device();
    return core->open_group(device->group()->iommu_group().number()).value();
  }
  // Container, group, IOMMU, device.
  Session open_instance(const Uuid& uuid) {
    Session session{.container = core->open_container(), .group = open_group(uuid), .device = {}};
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    session.device = get_device(*session.group, uuid.to_string()).value();
    return session;
  }

  std::unique_ptr<mdev::Bus> bus;
  Registration vfio_mdev_registration;

 private:
  std::vector<std::shared_ptr<device::Device>> parents_;
};

// Accesses of an open device that completes inline.
inline Result<std::vector<std::byte>> read_file(vfio::DeviceFile& file, std::uint32_t region,
                                                std::uint64_t offset, std::size_t size) {
  auto buffer = std::make_shared<std::vector<std::byte>>(size);
  Outcome<std::size_t> outcome;
  file.read(region, offset, *buffer, buffer, outcome.done());
  if (!outcome.succeeded()) return fail(outcome.error(), "the read failed");
  buffer->resize(*outcome.value());
  return *buffer;
}
inline Result<std::size_t> write_file(vfio::DeviceFile& file, std::uint32_t region, std::uint64_t offset,
                                      ConstBytes from) {
  auto buffer = std::make_shared<std::vector<std::byte>>(from.begin(), from.end());
  Outcome<std::size_t> outcome;
  file.write(region, offset, *buffer, buffer, outcome.done());
  if (!outcome.succeeded()) return fail(outcome.error(), "the write failed");
  return *outcome.value();
}

}  // namespace umdev::test
