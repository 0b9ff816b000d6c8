// The DMA engine as a parent of mediated devices: a pool of channels, of which an instance takes one or four,
// or eight as a physical function with virtual ones.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"

namespace umdev::ioat {

class IoatParent final : public mdev::ParentDriver {
 public:
  static constexpr std::uint32_t default_channels = 64;

  // What to register this driver with, but for the device: types "1" and "4" of one and of four channels, and
  // "sriov", a physical function of one with virtual functions of one each, out of a pool of `channels`. With
  // a parent device of class "ioat" they are ioat-1, ioat-4 and ioat-sriov.
  static mdev::ParentSpec spec(std::uint32_t channels = default_channels);

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override;
};

}  // namespace umdev::ioat
