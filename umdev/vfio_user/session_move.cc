// A session's way to another place, with its device.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/client_memory.h"
#include "umdev/support/assert.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio/user.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {
namespace {

std::uint32_t map_flags(iommu::Access access) {
  return (iommu::allows(access, iommu::Access::read) ? abi::vfio_dma_map_flag_read : 0) |
         (iommu::allows(access, iommu::Access::write) ? abi::vfio_dma_map_flag_write : 0);
}

// With copies of its descriptors.
Result<BacklogMessage> copy_of(const BacklogMessage& message) {
  BacklogMessage copy{
      .header = message.header, .payload = message.payload, .fds = std::make_unique<os::FdBatch>()};
  if (message.fds->lost()) copy.fds->set_lost();
  for (std::size_t i = 0; i < message.fds->size(); ++i)
    copy.fds->push(UMDEV_TRY(os::duplicate(message.fds->get(i))));
  return copy;
}

}  // namespace

// --- Out.

Result<SessionState> Session::copy() {
  if (state_ != State::open || !stands()) return fail(EBUSY, "the session does not stand still");
  if (dma_ && !dma_->is_idle()) return fail(EBUSY, "its client owes the device answers about memory");
  if (device_->is_logging_dma()) return fail(EBUSY, "its client has the device's writes logged");
  SessionState state;
  state.agreed = agreed_;
  state.agreed.twin_socket = twin_ != nullptr;
  state.fds_max = fds_max_;
  state.shares_device = shares_device_;
  for (const BacklogMessage& message : backlog_.messages())
    state.backlog.push_back(UMDEV_TRY(copy_of(message)));
  UMDEV_TRY(copy_mappings(state));
  frozen_ = true;
  vfio::IrqSet& interrupts = device_->user().irqs();
  interrupts.suspend();
  state.interrupts = UMDEV_TRY(interrupts.setup());
  return state;
}

Result<> Session::copy_mappings(SessionState& state) const {
  std::unordered_map<const iommu::Backing*, std::uint32_t> files;
  for (const iommu::StandingMapping& mapping : iommu_->mappings()) {
    MappingState& copy = state.mappings.emplace_back();
    copy.iova = mapping.range.iova;
    copy.size = mapping.range.size;
    copy.flags = map_flags(mapping.access);
    if (mapping.backing == dma_) continue;
    if (!mapping.backing->intact()) return fail(EIO, "memory of its client went bad");
    copy.offset = mapping.backing->fd_offset() + mapping.backing_offset;
    const auto [known, is_new] =
        files.try_emplace(mapping.backing.get(), static_cast<std::uint32_t>(state.files.size()));
    copy.file = known->second;
    if (is_new) state.files.push_back(UMDEV_TRY(os::duplicate(mapping.backing->fd())));
    if (state.files.size() > os::max_fds_per_message)
      return fail(E2BIG, "its client's memory lies in more files than a message carries");
  }
  return {};
}

// --- In.

// The memory comes before the device, as at first: who has the device may use it.
void Session::adopt(SessionState state, Outbox* twin, Done<> done) {
  UMDEV_ASSERT(state_ == State::silent, "a session is adopted before it is anything else");
  state_ = State::opening;
  paused_ = true;
  request_.flags = abi::vfio_user_flags_no_reply;
  agreed_ = state.agreed;
  fds_max_ = state.fds_max;
  shares_device_ = state.shares_device;
  twin_ = twin;
  for (BacklogMessage& message : state.backlog) backlog_.put(std::move(message));
  adoption_ = std::make_unique<Adoption>(std::move(state.interrupts), std::move(done));
  const auto prepared = [&]() -> Result<> {
    UMDEV_TRY(open_group());
    make_memory();
    return restore_mappings(state);
  }();
  if (!prepared) return adoption_failed(prepared.error());
  start(Pending::adopting);
  group_->get_device(address_.name, [operation = operation_](Result<std::shared_ptr<vfio::DeviceFile>> file) {
    operation->complete_open(std::move(file));
  });
  if (call_returned()) finish_operation();
}

Result<> Session::restore_mappings(const SessionState& state) {
  if (state.mappings.size() > agreed_.max_dma_maps) return fail(EINVAL, "more mappings than agreed on");
  for (const MappingState& mapping : state.mappings) {
    iommu::ClientMemory::Slice slice{.backing = nullptr, .offset = mapping.iova};
    if (mapping.file) {
      const bool writable = (mapping.flags & abi::vfio_dma_map_flag_write) != 0;
      os::UniqueFd fd = UMDEV_TRY(state.files[*mapping.file].dup());
      slice = UMDEV_TRY(memory_->share(std::move(fd), mapping.offset, mapping.size, writable));
    } else {
      slice.backing = message_memory();
    }
    UMDEV_TRY(iommu_->map({.flags = mapping.flags,
                           .iova = mapping.iova,
                           .size = mapping.size,
                           .vaddr = mapping.file ? mapping.offset : 0,
                           .backing = std::move(slice.backing),
                           .backing_offset = slice.offset}));
  }
  return {};
}

void Session::adoption_failed(const Error& error) {
  const auto adoption = std::move(adoption_);
  end("a session from another place could not be taken in");
  adoption->done(std::unexpected(error));
}

void Session::adopted() {
  device_ = operation_->take_file();
  frozen_ = true;
  if (auto loaded = device_->user().irqs().load(std::move(adoption_->interrupts)); !loaded)
    return adoption_failed(loaded.error());
  state_ = State::open;
  open_now_.store(true, std::memory_order_relaxed);
  world_.counters->sessions_opened.add();
  note_mappings();
  const auto adoption = std::move(adoption_);
  // Last, as at every opening.
  device_->set_events(mailbox_);
  adoption->done({});
}

}  // namespace umdev::vfio_user
