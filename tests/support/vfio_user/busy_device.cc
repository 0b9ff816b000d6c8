#include "tests/support/vfio_user/busy_device.h"

#include <unistd.h>

#include <algorithm>

#include "umdev/os/memfd.h"

namespace umdev::test {

namespace {

constexpr std::uint32_t readable = abi::vfio_region_info_flag_read;
constexpr std::uint32_t writable = abi::vfio_region_info_flag_write;
constexpr std::uint32_t eventfd = abi::vfio_irq_info_eventfd;

constexpr std::array<vfio::IrqInfo, abi::vfio_pci_num_irqs> interrupts{
    {{.flags = eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked, .count = 1},
     {.flags = eventfd | abi::vfio_irq_info_noresize, .count = 4},
     {.flags = eventfd | abi::vfio_irq_info_noresize, .count = 32},
     {.flags = eventfd, .count = 1},
     {.flags = eventfd, .count = 1}}};

}  // namespace

bool BusyDeviceState::answer_one() {
  if (waiting.empty()) return false;
  Work answer = std::move(waiting.front());
  waiting.pop_front();
  answer();
  return true;
}

BusyDevice::BusyDevice(std::shared_ptr<BusyDeviceState> state) : state_(std::move(state)) {
  if (!state_->memory) state_->memory = os::create_memfd("registers", BusyDeviceState::memory_size).value();
}

BusyDevice::~BusyDevice() = default;

vfio::DeviceInfo BusyDevice::info() const {
  return {.flags = abi::vfio_device_flags_pci | abi::vfio_device_flags_reset,
          .num_regions = BusyRegions::count,
          .num_irqs = interrupts.size()};
}

Result<vfio::RegionInfo> BusyDevice::region_info(std::uint32_t index) const {
  switch (index) {
    case BusyRegions::registers:
      return vfio::RegionInfo{.flags = readable | writable, .size = BusyDeviceState::registers_size};
    case BusyRegions::doorbell:
      return vfio::RegionInfo{.flags = readable | writable, .size = sizeof(Doorbell)};
    case BusyRegions::memory:
      return vfio::RegionInfo{.flags = readable | writable | abi::vfio_region_info_flag_mmap,
                              .size = BusyDeviceState::memory_size};
    case BusyRegions::identity:
      return vfio::RegionInfo{.flags = readable, .size = 16};
    case BusyRegions::broken:
      return vfio::RegionInfo{.flags = readable | writable, .size = 8};
    default:
      return vfio::RegionInfo{};
  }
}

Result<vfio::IrqInfo> BusyDevice::irq_info(std::uint32_t index) const {
  return interrupts[index];
}

void BusyDevice::open_device(vfio::User& user, Done<> done) {
  if (state_->open_error != 0) return done(fail(state_->open_error, "the test said so"));
  ++state_->opened;
  state_->user = &user;
  state_->registers.fill(std::byte{0});
  done();
}

void BusyDevice::close_device(vfio::User&, Done<> done) {
  state_->user = nullptr;
  state_->pins.clear();
  done();
}

void BusyDevice::read(vfio::ReadRequest request) {
  if (!state_->slow) return serve(std::move(request));
  // The request keeps the device alive until it is answered.
  state_->waiting.emplace_back([this, held = std::move(request)]() mutable { serve(std::move(held)); });
}

void BusyDevice::serve(vfio::ReadRequest request) {
  const Bytes into = request.data();
  switch (request.region()) {
    case BusyRegions::registers:
      std::ranges::copy(std::span(state_->registers).subspan(request.offset(), into.size()), into.begin());
      break;
    case BusyRegions::memory:
      if (::pread(state_->memory.get(), into.data(), into.size(), static_cast<off_t>(request.offset())) < 0)
        return request.complete(fail(EIO, "the region's memory is gone"));
      break;
    case BusyRegions::broken:
      if (request.offset() >= 4) return request.complete(fail(EIO, "broken"));
      into[0] = std::byte{0};
      return request.complete(into.size() / 2);
    default:
      std::ranges::fill(into, request.region() == BusyRegions::identity ? std::byte{0xa5} : std::byte{0});
  }
  request.complete_all();
}

void BusyDevice::write(vfio::WriteRequest request) {
  if (!state_->slow) return serve(std::move(request));
  // The request keeps the device alive until it is answered.
  state_->waiting.emplace_back([this, held = std::move(request)]() mutable { serve(std::move(held)); });
}

void BusyDevice::serve(vfio::WriteRequest request) {
  const ConstBytes from = request.data();
  switch (request.region()) {
    case BusyRegions::registers:
      std::ranges::copy(from, state_->registers.begin() + static_cast<std::ptrdiff_t>(request.offset()));
      break;
    case BusyRegions::doorbell:
      if (const auto doorbell = load_struct<Doorbell>(from)) ring(request.user(), *doorbell);
      break;
    case BusyRegions::memory:
      if (::pwrite(state_->memory.get(), from.data(), from.size(), static_cast<off_t>(request.offset())) < 0)
        return request.complete(fail(EIO, "the region's memory is gone"));
      break;
    default:
      if (request.offset() >= 4) return request.complete(fail(EIO, "broken"));
      return request.complete(from.size() / 2);
  }
  request.complete_all();
}

void BusyDevice::reset(vfio::User&, Done<> done) {
  const auto finish = [state = state_.get()] { state->registers.fill(std::byte{0}); };
  if (!state_->slow) {
    finish();
    return done();
  }
  state_->waiting.emplace_back([finish, held = std::make_shared<Done<>>(std::move(done))] {
    finish();
    (*held)();
  });
}

Result<std::vector<vfio::MmapExtent>> BusyDevice::mmap(vfio::User&, const vfio::MmapRequest& request) {
  return std::vector<vfio::MmapExtent>{{.fd = state_->memory.get(),
                                        .fd_offset = request.offset,
                                        .region_offset = request.offset,
                                        .length = request.length}};
}

void BusyDevice::request(unsigned) {
  ++state_->released;
  if (state_->user != nullptr) state_->user->irqs().raise(abi::vfio_pci_req_irq_index);
}

void BusyDevice::dma_unmap(vfio::User&, iommu::IovaRange range) {
  if (state_->keeps_pins) return;
  std::erase_if(state_->pins, [&](const iommu::DmaPin& pin) { return pin.range().overlaps(range); });
}

// --- What the doorbell does.

void BusyDevice::ring(vfio::User& user, const Doorbell& doorbell) {
  constexpr std::size_t pins_max = 64;
  const iommu::IovaRange range{doorbell.iova, doorbell.size};
  switch (doorbell.action) {
    case Doorbell::pin_to_read:
    case Doorbell::pin_to_write: {
      if (state_->pins.size() >= pins_max) return;
      const bool to_write = doorbell.action == Doorbell::pin_to_write;
      auto pin = user.pin(range, to_write ? iommu::Access::write : iommu::Access::read);
      if (!pin) return;
      // The first and the last byte: what lies between is the same memory.
      for (const iommu::DmaSegment& segment : pin->segments()) {
        state_->copied[0] ^= segment.data[0] ^ segment.data[segment.length - 1];
        if (to_write) segment.data[0] = segment.data[segment.length - 1] = std::byte{0x77};
      }
      state_->pins.push_back(std::move(*pin));
      return;
    }
    case Doorbell::unpin:
      state_->pins.clear();
      return;
    case Doorbell::copy_in:
    case Doorbell::copy_out:
      return copy(user, doorbell);
    case Doorbell::raise:
      return user.irqs().raise(doorbell.size >> 16, doorbell.size & 0xffff);
    case Doorbell::lower:
      return user.irqs().lower(doorbell.size >> 16, doorbell.size & 0xffff);
    default:
      return;
  }
}

// The buffer of a copy lives until the copy is done, which may be after the device.
struct BusyDevice::Copy {
  std::shared_ptr<BusyDeviceState> state;
  std::vector<std::byte> data;
};

void BusyDevice::copy(vfio::User& user, const Doorbell& doorbell) {
  constexpr std::size_t copy_max = 1U << 20;
  constexpr std::size_t copies_max = 16;
  if (doorbell.size > copy_max || state_->copies_under_way >= copies_max) return;
  const auto copy = std::make_shared<Copy>(Copy{.state = state_, .data = {}});
  copy->data.assign(doorbell.size, std::byte{0x5a});
  ++state_->copies_under_way;
  const auto kept = [](Copy& done) {
    return std::span(done.data).first(std::min(done.data.size(), done.state->copied.size()));
  };
  if (doorbell.action == Doorbell::copy_in) {
    user.dma_read(doorbell.iova, copy->data, [copy, kept](Result<> result) {
      --copy->state->copies_under_way;
      if (result) std::ranges::copy(kept(*copy), copy->state->copied.begin());
    });
  } else {
    std::ranges::copy(std::span(state_->registers).first(kept(*copy).size()), copy->data.begin());
    user.dma_write(doorbell.iova, copy->data, [copy](Result<>) { --copy->state->copies_under_way; });
  }
}

// --- Migration: the registers are the state.

class BusyDevice::Stream final : public vfio::MigrationData {
 public:
  Stream(std::shared_ptr<BusyDeviceState> state, bool saving) : state_(std::move(state)), saving_(saving) {}

  Result<std::size_t> read(Bytes into) override {
    if (!saving_) return MigrationData::read(into);
    const std::size_t count = std::min(into.size(), state_->registers.size() - position_);
    std::ranges::copy(std::span(state_->registers).subspan(position_, count), into.begin());
    position_ += count;
    return count;
  }
  Result<std::size_t> write(ConstBytes from) override {
    if (saving_) return MigrationData::write(from);
    if (from.size() > state_->registers.size() - position_) return fail(EINVAL, "more than there is");
    std::ranges::copy(from, state_->registers.begin() + static_cast<std::ptrdiff_t>(position_));
    position_ += from.size();
    return from.size();
  }
  bool has_bytes() const override { return position_ < state_->registers.size(); }
  Result<vfio::PrecopyInfo> precopy_info() const override {
    return vfio::PrecopyInfo{.initial_bytes = state_->registers.size() - position_, .dirty_bytes = 0};
  }

 private:
  const std::shared_ptr<BusyDeviceState> state_;
  const bool saving_;
  std::size_t position_ = 0;
};

std::uint64_t BusyDevice::flags() const {
  return abi::vfio_migration_stop_copy | abi::vfio_migration_p2p | abi::vfio_migration_pre_copy;
}

void BusyDevice::arc(vfio::User&, vfio::MigrationState from, vfio::MigrationState to,
                     Done<std::shared_ptr<vfio::MigrationData>> done) {
  std::shared_ptr<vfio::MigrationData> data;
  if (vfio::is_transferring(to) && !vfio::is_transferring(from))
    data = std::make_shared<Stream>(state_, vfio::is_saving(to));
  if (!state_->slow) return done(std::move(data));
  auto held = std::make_shared<Done<std::shared_ptr<vfio::MigrationData>>>(std::move(done));
  state_->waiting.emplace_back([held, data] { (*held)(data); });
}

}  // namespace umdev::test
