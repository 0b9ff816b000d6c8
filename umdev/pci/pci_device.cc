#include "umdev/pci/pci_device.h"

#include <algorithm>
#include <utility>

#include "umdev/abi/migration.h"
#include "umdev/os/random_uuid.h"
#include "umdev/vfio/feature.h"

namespace umdev::pci {
namespace {

constexpr std::uint32_t intx_flags =
    abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked;
constexpr std::uint32_t message_flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize;

constexpr StreamTag msix_tag("msix");
constexpr std::uint16_t msix_version = 1;

bool is_bar(std::uint32_t region) {
  return region <= abi::vfio_pci_bar5_region_index;
}

}  // namespace

Model::Model(ConfigLayout layout) : config(std::move(layout)) {
  irq_counts[abi::vfio_pci_intx_irq_index] = config.interrupt_pin() != 0 ? 1 : 0;
  irq_counts[abi::vfio_pci_msi_irq_index] = config.msi_vectors();
  irq_counts[abi::vfio_pci_msix_irq_index] = config.msix_vectors();
  // PCI Express, which reports errors, is what has 4096 bytes.
  irq_counts[abi::vfio_pci_err_irq_index] = config.size() == abi::pci_cfg_space_exp_size ? 1 : 0;
  irq_counts[abi::vfio_pci_req_irq_index] = 1;
}

ModelRef share(Model model) {
  return std::make_shared<const Model>(std::move(model));
}

PciDevice::PciDevice(ModelRef model)
    : model_(std::move(model)),
      token_(model_->config.sriov().total == 0 ? nullptr : std::make_shared<VfToken>(os::random_uuid())),
      config_(model_->config),
      msix_(model_->config.msix_vectors()) {}

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

Result<std::vector<vfio::MmapExtent>> PciDevice::mmap(vfio::User&, const vfio::MmapRequest& request) {
  const auto region = UMDEV_TRY(region_info(request.region));
  if ((region.flags & abi::vfio_region_info_flag_mmap) == 0)
    return fail(EINVAL, "the region cannot be mapped");
  return std::vector<vfio::MmapExtent>{
      {.fd = -1, .fd_offset = 0, .region_offset = request.offset, .length = request.length}};
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
  bool first = false;
  {
    Lock lock(mutex_);
    first = users_.empty();
    users_.push_back(&user);
  }
  if (first && physical_token_) physical_token_->add_user();
  done();
}

void PciDevice::close_device(vfio::User& user, Done<> done) {
  bool last = false;
  {
    Lock lock(mutex_);
    std::erase(users_, &user);
    last = users_.empty();
    if (last) msix_.set_enabled(false);
  }
  if (last) return_to(Config::power_on);
  if (last && physical_token_) physical_token_->remove_user();
  done();
}

void PciDevice::return_to(Config config) {
  {
    Lock lock(mutex_);
    if (config == Config::power_on)
      config_.reset();
    else
      config_.reset_function();
    put_virtual_functions();
    msix_.reset();
    for (vfio::User* user : users_) user->irqs().clear_pending();
  }
  // Last, so that a line that an access under way has raised in between is lowered again.
  function_reset();
}

void PciDevice::reset(vfio::User&, Done<> done) {
  return_to(Config::reset);
  done();
}

Result<> PciDevice::match_token(const std::optional<Uuid>& token) const {
  if (physical_token_) return physical_token_->match_virtual(token);
  return token_ ? token_->match_physical(token) : Device::match_token(token);
}

Result<std::vector<std::byte>> PciDevice::device_feature(vfio::User&, const vfio::FeatureRequest& request) {
  const std::uint32_t feature = request.flags & abi::vfio_device_feature_mask;
  if (feature != abi::vfio_device_feature_pci_vf_token || !token_) return fail(ENOTTY, "unknown feature");
  // Never read: it may be of another user.
  std::array<std::uint8_t, 16> bytes{};
  if (!UMDEV_TRY(vfio::check_feature(request, abi::vfio_device_feature_set, bytes.size())))
    return std::vector<std::byte>();
  std::ranges::copy(request.data.first(bytes.size()), std::as_writable_bytes(std::span(bytes)).begin());
  token_->set(Uuid(bytes));
  return std::vector<std::byte>();
}

Result<std::unique_ptr<PciDevice>> PciDevice::create_virtual_function(DeviceHost& host) {
  std::unique_ptr<PciDevice> made = token_ ? make_virtual_function(host) : nullptr;
  if (!made) return fail(EOPNOTSUPP, "the function has no virtual functions");
  made->physical_token_ = token_;
  return made;
}

void PciDevice::show_virtual_functions(std::uint16_t count) {
  Lock lock(mutex_);
  virtual_functions_ = count;
  put_virtual_functions();
}

// A reset ends them no more than a kernel lets it, which restores how many there are.
void PciDevice::put_virtual_functions() {
  const std::uint16_t at = model_->config.sriov_offset();
  if (at == 0 || config_.value<std::uint16_t>(at + abi::pci_sriov_num_vf) == virtual_functions_) return;
  const std::uint16_t enabled = abi::pci_sriov_ctrl_vfe | abi::pci_sriov_ctrl_mse;
  config_.set_value<std::uint16_t>(at + abi::pci_sriov_num_vf, virtual_functions_);
  config_.set_value<std::uint16_t>(at + abi::pci_sriov_ctrl, virtual_functions_ == 0 ? 0 : enabled);
}

void PciDevice::request(unsigned) {
  raise_irq(abi::vfio_pci_req_irq_index);
}

void PciDevice::raise_irq(std::uint32_t index, std::uint32_t vector) {
  Lock lock(mutex_);
  for (vfio::User* user : users_) {
    if (index == abi::vfio_pci_msix_irq_index && user->irqs().enabled(index) && !msix_.may_send(vector))
      continue;
    user->irqs().raise(index, vector);
  }
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
  if (!result) return request.complete(std::unexpected(result.error()));
  if (!resets_function(request)) return request.complete_all();
  vfio::User& user = request.user();
  reset(user, [request = std::move(request)](Result<> done) mutable {
    if (done)
      request.complete_all();
    else
      request.complete(std::unexpected(done.error()));
  });
}

Result<> PciDevice::read_region(vfio::ReadRequest& request) {
  // The core has checked the bounds; a caller without a core must not get further either.
  if (!range_fits(request.offset(), request.data().size(), region_size(request.region())))
    return fail(EINVAL, "the read does not lie inside the region");
  if (request.region() == abi::vfio_pci_config_region_index) {
    Lock lock(mutex_);
    return config_.read(request.offset(), request.data());
  }
  return read_bar(request);
}

Result<> PciDevice::read_bar(vfio::ReadRequest& request) {
  const MsixCapability& msix = model_->config.msix();
  std::uint64_t offset = request.offset();
  for (Bytes left = request.data(); !left.empty();) {
    const MsixPiece piece = first_piece(msix, request.region(), offset, left.size());
    const Bytes into = left.first(piece.size);
    if (piece.where == MsixPiece::Where::device) {
      UMDEV_TRY(bar_read(request.user(), request.region(), piece.offset, into));
    } else {
      Lock lock(mutex_);
      if (piece.where == MsixPiece::Where::table)
        msix_.read_table(piece.offset, into);
      else
        msix_.read_pending(piece.offset, into);
    }
    left = left.subspan(piece.size);
    offset += piece.size;
  }
  return {};
}

Result<> PciDevice::write_region(vfio::WriteRequest& request) {
  if (!range_fits(request.offset(), request.data().size(), region_size(request.region())))
    return fail(EINVAL, "the write does not lie inside the region");
  if (request.region() == abi::vfio_pci_config_region_index) return write_config(request);
  if (!is_bar(request.region())) return fail(EINVAL, "the region cannot be written");
  return write_bar(request);
}

Result<> PciDevice::write_bar(vfio::WriteRequest& request) {
  const MsixCapability& msix = model_->config.msix();
  std::uint64_t offset = request.offset();
  for (ConstBytes left = request.data(); !left.empty();) {
    const MsixPiece piece = first_piece(msix, request.region(), offset, left.size());
    const ConstBytes from = left.first(piece.size);
    if (piece.where == MsixPiece::Where::device) {
      UMDEV_TRY(bar_write(request.user(), request.region(), piece.offset, from));
    } else if (piece.where == MsixPiece::Where::table) {
      Lock lock(mutex_);
      msix_.write_table(piece.offset, from);
      send_what_may();
    }
    left = left.subspan(piece.size);
    offset += piece.size;
  }
  return {};
}

Result<> PciDevice::write_config(vfio::WriteRequest& request) {
  ConfigChanges changes;
  {
    Lock lock(mutex_);
    changes = UMDEV_TRY(config_.write(request.offset(), request.data()));
    follow_function_mask();
  }
  for (const ConfigChange& change : changes) config_changed(request.user(), change);
  return {};
}

// The bit itself reads as 0 always, so nothing of it is stored.
bool PciDevice::resets_function(const vfio::WriteRequest& request) const {
  const std::uint16_t control = model_->config.function_level_reset();
  if (control == 0 || request.region() != abi::vfio_pci_config_region_index) return false;
  const std::uint64_t high_byte = control + 1U;
  const ConstBytes data = request.data();
  constexpr std::byte bit{abi::pci_exp_devctl_bcr_flr >> 8};
  return request.offset() <= high_byte && high_byte - request.offset() < data.size() &&
         (data[high_byte - request.offset()] & bit) != std::byte{0};
}

// As vfio-pci does with the hardware: who sets vectors up by SET_IRQS enables what sends them.
Result<> PciDevice::set_irqs(vfio::User& user, vfio::IrqRequest& request) {
  const Result<> result = user.irqs().set(request);
  Lock lock(mutex_);
  const auto follow = [&](std::uint16_t control, std::uint32_t index,
                          std::uint16_t bit) UMDEV_REQUIRES(mutex_) {
    if (control == 0 || request.index != index) return;
    const auto before = config_.value<std::uint16_t>(control);
    const std::uint16_t after = user.irqs().enabled(index) ? before | bit : before & ~bit;
    if (after != before) config_.set_value<std::uint16_t>(control, after);
  };
  follow(model_->config.msi_control(), abi::vfio_pci_msi_irq_index, abi::pci_msi_flags_enable);
  follow(model_->config.msix_control(), abi::vfio_pci_msix_irq_index, abi::pci_msix_flags_enable);
  if (request.index == abi::vfio_pci_msix_irq_index) msix_.set_enabled(user.irqs().enabled(request.index));
  return result;
}

void PciDevice::follow_function_mask() {
  const std::uint16_t control = model_->config.msix_control();
  if (control == 0) return;
  const auto flags = config_.value<std::uint16_t>(control);
  msix_.set_function_mask((flags & abi::pci_msix_flags_maskall) != 0);
  send_what_may();
}

void PciDevice::send_what_may() {
  while (const auto vector = msix_.take_sendable())
    for (vfio::User* user : users_) user->irqs().raise(abi::vfio_pci_msix_irq_index, *vector);
}

void PciDevice::save_msix(StreamWriter& stream) const {
  if (model_->config.msix_vectors() == 0) return;
  Lock lock(mutex_);
  stream.begin(msix_tag, msix_version);
  stream.put_bytes(msix_.save());
}

Result<MsixTable> PciDevice::load_msix(StreamReader& stream) const {
  MsixTable table(model_->config.msix_vectors());
  if (table.vectors() == 0) return table;
  SectionReader section = UMDEV_TRY(stream.take(msix_tag, msix_version));
  const ConstBytes saved = UMDEV_TRY(section.get_bytes());
  UMDEV_TRY(section.end());
  UMDEV_TRY(table.load(saved));
  return table;
}

void PciDevice::set_msix(MsixTable table) {
  Lock lock(mutex_);
  table.set_enabled(msix_.enabled());
  msix_ = std::move(table);
  follow_function_mask();
}

Result<> PciDevice::bar_read(vfio::User&, std::uint32_t, std::uint64_t, Bytes) {
  return fail(EINVAL, "the region cannot be read");
}

Result<> PciDevice::bar_write(vfio::User&, std::uint32_t, std::uint64_t, ConstBytes) {
  return fail(EINVAL, "the region cannot be written");
}

}  // namespace umdev::pci
