// The parent of null devices: as many instances as it was told to allow.
#pragma once

#include <cstdint>
#include <memory>

#include "drivers/null/null.h"
#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"

namespace umdev::null {

class NullParent final : public mdev::ParentDriver {
 public:
  // `users_max`: clients that one instance may have at a time.
  explicit NullParent(std::uint32_t users_max = 1) : users_max_(users_max) {}

  static constexpr std::uint32_t default_instances = 65536;

  // What to register this driver with, but for the device: one type "1". With a parent device of class "null"
  // it is null-1.
  static mdev::ParentSpec spec(std::uint32_t instances = default_instances);

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override;

 private:
  const std::uint32_t users_max_;
  const pci::ModelRef model_ = Null::make_model();
};

}  // namespace umdev::null
