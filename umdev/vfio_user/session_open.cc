// VERSION: who the client is, and the way of every VFIO user into the device.
#include "umdev/abi/vfio.h"
#include "umdev/iommu/client_memory.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user {

Result<> Session::version(const Frame& frame) {
  if (state_ != State::silent) return fail(EINVAL, "VERSION comes once");
  const VersionMessage proposed = UMDEV_TRY(decode_version(frame.payload, *world_.limits));
  const VersionMessage answer = UMDEV_TRY(answer_version(proposed, *world_.limits));
  version_answer_ = answer;
  agreed_ = answer.capabilities;
  fds_max_ = proposed.capabilities.max_msg_fds;
  state_ = State::opening;
  opening_since_ = world_.clock->now();
  try_open();
  return {};
}

void Session::try_open() {
  if (const Result<> group = open_group(); !group) {
    const bool taken = group.error().code == EBUSY && group_ == nullptr;
    close_files();
    // The user before us may have died just now: its connection's end is another event than our beginning.
    if (!taken || world_.clock->now() - opening_since_ >= world_.limits->busy_grace)
      return opening_failed(group.error());
    pending_ = Pending::retry;
    retry_timer_ = world_.clock->after(world_.limits->busy_poll, [weak = weak_from_this()] {
      if (const auto session = weak.lock()) session->retry_open();
    });
    return;
  }
  start(Pending::opening);
  group_->get_device(address_.name, [operation = operation_](Result<std::shared_ptr<vfio::DeviceFile>> file) {
    operation->complete_open(std::move(file));
  });
  if (call_returned()) finish_operation();
}

void Session::retry_open() {
  if (pending_ != Pending::retry || paused_) return;
  pending_ = Pending::nothing;
  try_open();
  if (is_busy()) return;
  end_timing();
  observer_.session_changed();
}

// Leaves group_ null when it is the group that is refused.
Result<> Session::open_group() {
  container_ = world_.core->open_container(address_.caller);
  group_ = UMDEV_TRY(world_.core->open_group(address_.iommu_group, address_.caller));
  UMDEV_TRY(group_->set_container(container_));
  UMDEV_TRY(container_->set_iommu(abi::vfio_type1v2_iommu));
  iommu_ = UMDEV_TRY(container_->iommu());
  return {};
}

void Session::opening_failed(const Error& error) {
  refuse(error);
  end("the device could not be opened");
}

void Session::make_memory() {
  memory_ = std::make_unique<iommu::ClientMemory>(
      iommu::ClientMemoryLimits{.mappings = world_.limits->file_mappings_per_session,
                                .bytes = world_.limits->mapped_bytes_per_session,
                                .whole_file = world_.limits->whole_file},
      world_.budget);
}

Result<> Session::opened() {
  device_ = operation_->take_file();
  make_memory();
  state_ = State::open;
  open_now_.store(true, std::memory_order_relaxed);
  world_.counters->sessions_opened.add();
  std::vector<os::UniqueFd> fds;
  if (version_answer_.capabilities.twin_socket) {
    if (auto client_end = open_twin()) fds.push_back(std::move(*client_end));
    version_answer_.capabilities.twin_socket = !fds.empty();
  }
  reply(encode_version(version_answer_, /*is_reply=*/true), {}, std::move(fds));
  // Last: it may tell the mailbox at once that the device is being taken away.
  device_->set_events(mailbox_);
  return {};
}

// The client's end of a second socket, when we can serve one.
Result<os::UniqueFd> Session::open_twin() {
  auto [ours, theirs] = UMDEV_TRY(os::make_socket_pair());
  twin_ = observer_.open_twin(std::move(ours));
  if (twin_ == nullptr) return fail(EOPNOTSUPP, "no second socket can be served here");
  return std::move(theirs);
}

// Any order would do; this one leaves the core the least to sort out.
void Session::close_files() {
  open_now_.store(false, std::memory_order_relaxed);
  if (device_) device_->set_events(nullptr);
  device_.reset();
  iommu_.reset();
  group_.reset();
  container_.reset();
  mappings_now_.store(0, std::memory_order_relaxed);
}

}  // namespace umdev::vfio_user
