#include "umdev/pci/pci_device.h"

#include <algorithm>
#include <utility>

namespace umdev::pci {
namespace {

constexpr std::uint32_t intx_flags =
    abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked;
constexpr std::uint32_t message_flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize;

bool is_bar(std::uint32_t region) {
  return region <= abi::vfio_pci_bar5_region_index;
}

}  // namespace

Model::Model(ConfigLayout layout) : config(std::move(layout)) {
  irq_counts[abi::vfio_pci_intx_irq_index] = config.interrupt_pin() != 0 ? 1 : 0;
  irq_counts[abi::vfio_pci_msi_irq_index] = config.msi_vectors();
  irq_counts[abi::vfio_pci_msix_irq_index] = config.msix_vectors();
  irq_counts[abi::vfio_pci_req_irq_index] = 1;
}

ModelRef share(Model model) {
  return std::make_shared<const Model>(std::move(model));
}

PciDevice::PciDevice(ModelRef model) : model_(std::move(model)), config_(model_->config) {}

vfio::DeviceInfo PciDevice::info() const {
  return {.flags = abi::vfio_device_flags_pci | abi::vfio_device_flags_reset,
          .num_regions = abi::vfio_pci_num_regions,
          .num_irqs = abi::vfio_pci_num_irqs,
          .capabilities = {}};
}

std::uint64_t PciDevice::region_size(std::uint32_t index) const {
  if (is_bar(index)) return model_->config.bars()[index].size;
  if (index == abi::vfio_pci_rom_region_index) return model_->config.rom_size();
  if (index == abi::vfio_pci_config_region_index) return model_->config.size();
  return 0;
}

Result<vfio::RegionInfo> PciDevice::region_info(std::uint32_t index) const {
  if (index >= abi::vfio_pci_num_regions) return fail(EINVAL, "no such region");
  vfio::RegionInfo region{.flags = 0,
                          .size = region_size(index),
                          .offset = std::uint64_t{index} << abi::vfio_pci_offset_shift,
                          .capabilities = {}};
  if (region.size == 0) return region;
  if (is_bar(index))
    region.flags = model_->config.bars()[index].region_flags;
  else if (index == abi::vfio_pci_rom_region_index)
    region.flags = abi::vfio_region_info_flag_read;
  else
    region.flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
  return region;
}

Result<vfio::IrqInfo> PciDevice::irq_info(std::uint32_t index) const {
  if (index >= abi::vfio_pci_num_irqs) return fail(EINVAL, "no such interrupt index");
  const std::uint32_t count = model_->irq_counts[index];
  // As vfio-pci answers for a function that is not PCI Express; a count of 0 makes QEMU warn.
  if (index == abi::vfio_pci_err_irq_index && count == 0) return fail(EINVAL, "the device reports no errors");
  return vfio::IrqInfo{.flags = index == abi::vfio_pci_intx_irq_index ? intx_flags : message_flags,
                       .count = count};
}

void PciDevice::open_device(vfio::User& user, Done<> done) {
  {
    Lock lock(mutex_);
    users_.push_back(&user);
  }
  done();
}

void PciDevice::close_device(vfio::User& user, Done<> done) {
  bool last = false;
  {
    Lock lock(mutex_);
    std::erase(users_, &user);
    last = users_.empty();
  }
  if (last) power_on();
  done();
}

void PciDevice::power_on() {
  {
    Lock lock(mutex_);
    config_.reset();
    for (vfio::User* user : users_) user->irqs().clear_pending();
  }
  // Last, so that a line that an access under way has raised in between is lowered again.
  function_reset();
}

void PciDevice::reset(vfio::User&, Done<> done) {
  power_on();
  done();
}

void PciDevice::request(unsigned) {
  raise_irq(abi::vfio_pci_req_irq_index);
}

void PciDevice::raise_irq(std::uint32_t index, std::uint32_t vector) {
  Lock lock(mutex_);
  for (vfio::User* user : users_) user->irqs().raise(index, vector);
}

void PciDevice::lower_irq(std::uint32_t index, std::uint32_t vector) {
  Lock lock(mutex_);
  for (vfio::User* user : users_) user->irqs().lower(index, vector);
}

void PciDevice::read(vfio::ReadRequest request) {
  const Result<> result = read_region(request);
  if (result)
    request.complete_all();
  else
    request.complete(std::unexpected(result.error()));
}

void PciDevice::write(vfio::WriteRequest request) {
  const Result<> result = write_region(request);
  if (result)
    request.complete_all();
  else
    request.complete(std::unexpected(result.error()));
}

Result<> PciDevice::read_region(vfio::ReadRequest& request) {
  // The core has checked the bounds; a caller without a core must not get further either.
  if (!range_fits(request.offset(), request.data().size(), region_size(request.region())))
    return fail(EINVAL, "the read does not lie inside the region");
  if (request.region() == abi::vfio_pci_config_region_index) {
    Lock lock(mutex_);
    return config_.read(request.offset(), request.data());
  }
  return bar_read(request.user(), request.region(), request.offset(), request.data());
}

Result<> PciDevice::write_region(vfio::WriteRequest& request) {
  if (!range_fits(request.offset(), request.data().size(), region_size(request.region())))
    return fail(EINVAL, "the write does not lie inside the region");
  if (request.region() == abi::vfio_pci_config_region_index) return write_config(request);
  if (!is_bar(request.region())) return fail(EINVAL, "the region cannot be written");
  return bar_write(request.user(), request.region(), request.offset(), request.data());
}

Result<> PciDevice::write_config(vfio::WriteRequest& request) {
  ConfigChanges changes;
  {
    Lock lock(mutex_);
    changes = UMDEV_TRY(config_.write(request.offset(), request.data()));
  }
  for (const ConfigChange& change : changes) config_changed(request.user(), change);
  return {};
}

Result<> PciDevice::bar_read(vfio::User&, std::uint32_t, std::uint64_t, Bytes) {
  return fail(EINVAL, "the region cannot be read");
}

Result<> PciDevice::bar_write(vfio::User&, std::uint32_t, std::uint64_t, ConstBytes) {
  return fail(EINVAL, "the region cannot be written");
}

}  // namespace umdev::pci
