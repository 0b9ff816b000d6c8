#include "umdev/ioctl/device_node.h"

#include <algorithm>
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/device_commands.h"
#include "umdev/ioctl/feature_command.h"
#include "umdev/ioctl/pci_commands.h"

namespace umdev::ioctl {

RegionMap RegionMap::of(const vfio::DeviceFile& device) {
  RegionMap map;
  const auto info = device.info();
  if (!info) return map;
  map.regions_.resize(info->num_regions);
  for (std::uint32_t index = 0; index < info->num_regions; ++index)
    if (const auto region = device.region_info(index))
      map.regions_[index] = {.offset = region->offset, .size = region->size};
  return map;
}

Result<RegionMap::Place> RegionMap::find(std::uint64_t offset) const {
  for (std::uint32_t index = 0; index < regions_.size(); ++index) {
    const Region& region = regions_[index];
    if (offset >= region.offset && offset - region.offset < region.size)
      return Place{.index = index, .position = offset - region.offset, .size = region.size};
  }
  const std::uint64_t index = offset >> abi::vfio_pci_offset_shift;
  if (index >= regions_.size()) return fail(EINVAL, "no region lies there");
  return Place{.index = static_cast<std::uint32_t>(index),
               .position = offset & ((1ULL << abi::vfio_pci_offset_shift) - 1),
               .size = regions_[index].size};
}

std::shared_ptr<DeviceNode> DeviceNode::of_group(std::shared_ptr<const World> world,
                                                 std::shared_ptr<vfio::DeviceFile> device) {
  std::shared_ptr<DeviceNode> node(new DeviceNode(std::move(world), {}));  // its constructor is private
  node->set_opened(std::move(device));
  return node;
}

std::shared_ptr<DeviceNode> DeviceNode::of_cdev(std::shared_ptr<const World> world, vfio::DeviceRef device) {
  return std::shared_ptr<DeviceNode>(
      new DeviceNode(std::move(world), std::move(device)));  // its constructor is private
}

void DeviceNode::set_opened(std::shared_ptr<vfio::DeviceFile> device) {
  auto opened = std::make_unique<Opened>();
  opened->regions = RegionMap::of(*device);
  const auto info = device->info();
  opened->is_pci = info && (info->flags & abi::vfio_device_flags_pci) != 0;
  opened->device = std::move(device);
  storage_ = std::move(opened);
  opened_.store(storage_.get(), std::memory_order_release);
}

Result<const DeviceNode::Opened*> DeviceNode::opened() const {
  const Opened* opened = opened_.load(std::memory_order_acquire);
  if (opened == nullptr) return fail(EINVAL, "the device is not bound to an iommufd");
  return opened;
}

void DeviceNode::ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
                       Done<Answer> done) {
  if (command == abi::vfio_device_bind_iommufd && has_iommufd(world_->profile))
    return bind(std::move(caller), argument, std::move(done));
  const auto opened_now = opened();
  if (!opened_now) return done(std::unexpected(opened_now.error()));
  if (command == abi::vfio_device_attach_iommufd_pt && binding_)
    return attach(std::move(caller), argument, std::move(done));
  if (command == abi::vfio_device_detach_iommufd_pt && binding_)
    return detach(*caller, argument, std::move(done));
  const std::shared_ptr<vfio::DeviceFile>& device = (*opened_now)->device;
  switch (command) {
    case abi::vfio_device_get_info:
      return done(success(get_device_info(*device, *caller, argument)));
    case abi::vfio_device_get_region_info:
      return done(success(get_region_info(*device, *caller, argument)));
    case abi::vfio_device_get_irq_info:
      return done(success(get_irq_info(*device, *caller, argument)));
    case abi::vfio_device_set_irqs:
      return done(success(set_irqs(*device, (*opened_now)->is_pci, *caller, argument)));
    case abi::vfio_device_reset:
      return reset(device, std::move(done));
    case abi::vfio_device_ioeventfd:
      return done(success(set_io_event({world_, device, binding_}, *caller, argument)));
    case abi::vfio_device_get_pci_hot_reset_info:
      return done(success(get_hot_reset_info({world_, device, binding_}, *caller, argument)));
    case abi::vfio_device_pci_hot_reset:
      return hot_reset({world_, device, binding_}, *caller, argument, std::move(done));
    case abi::vfio_device_feature:
      return feature_command(world_, device, argument, std::move(caller), std::move(done));
    default:
      return done(other_command(*device, command, *caller, argument));
  }
}

// --- Accesses. As vfio-pci: what begins inside of a region is cut at its end; configuration space is the
// exception.
Result<DeviceNode::Access> DeviceNode::find_access(const Opened& opened, std::uint64_t offset,
                                                   std::size_t size) {
  const auto place = UMDEV_TRY(opened.regions.find(offset));
  const bool is_config = opened.is_pci && place.index == abi::vfio_pci_config_region_index;
  if (is_config && !range_fits(place.position, size, place.size))
    return fail(EFAULT, "beyond the end of configuration space");
  if (place.position >= place.size) return fail(EINVAL, "beyond the end of the region");
  return Access{.place = place, .count = std::min<std::uint64_t>(size, place.size - place.position)};
}

void DeviceNode::read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) {
  const auto opened_now = opened();
  if (!opened_now) return done(std::unexpected(opened_now.error()));
  const auto access = find_access(**opened_now, offset, into.size());
  if (!access) return done(std::unexpected(access.error()));
  (*opened_now)
      ->device->read(access->place.index, access->place.position, into.first(access->count), std::move(owner),
                     std::move(done));
}

void DeviceNode::write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                       Done<std::size_t> done) {
  const auto opened_now = opened();
  if (!opened_now) return done(std::unexpected(opened_now.error()));
  const auto access = find_access(**opened_now, offset, from.size());
  if (!access) return done(std::unexpected(access.error()));
  (*opened_now)
      ->device->write(access->place.index, access->place.position, from.first(access->count),
                      std::move(owner), std::move(done));
}

// A mapping is of whole pages, so it may reach over the end of a region to the end of its last page.
Result<std::vector<MappedPiece>> DeviceNode::mmap(const MapRequest& request) {
  const Opened& opened_now = *UMDEV_TRY(opened());
  if (!request.shared) return fail(EINVAL, "a region is mapped shared");
  const auto place = UMDEV_TRY(opened_now.regions.find(request.offset));
  const std::uint64_t whole_pages = (place.size + iommu::page_size - 1) / iommu::page_size * iommu::page_size;
  if (!range_fits(place.position, request.length, whole_pages) || place.position >= place.size)
    return fail(EINVAL, "beyond the end of the region");
  const auto extents =
      UMDEV_TRY(opened_now.device->mmap({.region = place.index,
                                         .offset = place.position,
                                         .length = std::min(request.length, place.size - place.position),
                                         .writable = request.writable}));
  std::vector<MappedPiece> pieces;
  for (const vfio::MmapExtent& extent : extents) {
    // A device may answer with more than it was asked for.
    const std::uint64_t begin = std::max(extent.region_offset, place.position);
    const std::uint64_t end = std::min(extent.region_offset + extent.length, place.position + request.length);
    if (begin >= end) continue;
    pieces.push_back({.position = begin - place.position,
                      .fd = extent.fd,
                      .fd_offset = extent.fd < 0 ? request.offset + (begin - place.position)
                                                 : extent.fd_offset + (begin - extent.region_offset),
                      .length = end - begin});
  }
  return pieces;
}

}  // namespace umdev::ioctl
