// The serial card as a parent of mediated devices: a pool of ports, of which an instance takes one or two.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"

namespace umdev::mtty {

class MttyParent final : public mdev::ParentDriver {
 public:
  static constexpr std::uint32_t default_ports = 24;

  // What to register this driver with, but for the device: types "1" and "2" of one and of two ports, out of
  // a pool of `ports`. With a parent device of class "mtty" they are mtty-1 and mtty-2.
  static mdev::ParentSpec spec(std::uint32_t ports = default_ports);

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override;
  // vendor/sample_mdev_dev, as the kernel's sample has it.
  device::AttributeGroups instance_groups() const override;
};

}  // namespace umdev::mtty
