#include "umdev/vfio_user/session.h"

#include <utility>

#include "umdev/iommu/client_memory.h"
#include "umdev/support/assert.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio/user.h"
#include "umdev/vfio_user/operation.h"

namespace umdev::vfio_user {
namespace {

bool takes_descriptors(std::uint16_t command) {
  return command == abi::vfio_user_dma_map || command == abi::vfio_user_device_set_irqs;
}

// The commands of which there may be a million in a second.
bool is_access(std::uint16_t command) {
  return command == abi::vfio_user_region_read || command == abi::vfio_user_region_write ||
         command == abi::vfio_user_region_write_multi;
}

}  // namespace

std::shared_ptr<Session> Session::create(SessionWorld world, DeviceAddress device, Outbox& outbox,
                                         SessionObserver& observer) {
  std::shared_ptr<Session> session(new Session(std::move(world), std::move(device), outbox, observer));
  session->mailbox_->set_session(session);
  return session;
}

Session::Session(SessionWorld world, DeviceAddress device, Outbox& outbox, SessionObserver& observer)
    : world_(std::move(world)),
      address_(std::move(device)),
      outbox_(outbox),
      observer_(observer),
      mailbox_(std::make_shared<Mailbox>(*world_.executor)),
      operation_(std::make_shared<Operation>(mailbox_)) {}

Session::~Session() {
  end("dropped");
}

void Session::end(std::string_view reason) {
  if (has_ended()) return;
  state_ = State::ended;
  end_reason_ = reason;
  pending_ = Pending::nothing;
  mailbox_->close();
  retry_timer_.cancel();
  operation_.reset();
  dma_timer_.cancel();
  if (dma_) dma_->close();
  backlog_.clear();
  close_files();
  if (adoption_) adoption_failed(Error{ECONNRESET, "the session has ended"});
  memory_.reset();
}

// --- Messages.

void Session::handle(const Frame& frame) {
  last_cost_ = 1;
  if (!has_ended() && accepts_command() && !is_reply(frame.header)) return process(frame);
  UMDEV_ASSERT(takes_messages(), "a message for a session that does not take one");
  if (is_reply(frame.header)) {
    handle_reply(frame, /*by_twin=*/false);
  } else {
    backlog_.push(frame);
  }
}

void Session::resume() {
  while (!has_ended() && !paused_ && !is_busy() && !backlog_.empty() && has_room_for_replies()) {
    BacklogMessage next = backlog_.pop();
    process(next.frame());
  }
  send_dma();
}

void Session::go_on() {
  if (has_ended()) return;
  paused_ = false;
  if (std::exchange(frozen_, false))
    if (const auto looks = device_->user().irqs().resume(); !looks)
      return end("an unmask eventfd cannot be watched any more");
  // Nobody looked meanwhile, so the patience begins anew.
  if (pending_ == Pending::retry) {
    opening_since_ = world_.clock->now();
    retry_open();
  }
  resume();
}

void Session::process(const Frame& frame) {
  request_ = frame.header;
  ++handled_;
  MessageDma* const dma = dma_.get();
  if (dma != nullptr) dma->enter(wants_reply(request_));
  world_.counters->message(request_.command).add();
  if (!wants_reply(request_)) world_.counters->posted_writes.add();
  begin_timing();
  Result<> result = check_descriptors(frame);
  if (result) result = dispatch(frame);
  if (!result) refuse(result.error());
  if (!is_busy()) end_timing();
  if (dma != nullptr) dma->leave();
  if (!result && state_ == State::silent && request_.command == abi::vfio_user_version)
    end("VERSION was refused");
  send_dma();
}

Result<> Session::check_descriptors(const Frame& frame) const {
  if (frame.fds->lost()) return fail(EMFILE, "descriptors of the message were lost");
  if (frame.fds->empty()) return {};
  if (takes_descriptors(request_.command) && frame.fds->size() <= world_.limits->fds_per_message) return {};
  world_.counters->unexpected_descriptors.add(frame.fds->size());
  return fail(EINVAL, "more descriptors than the message takes");
}

Result<> Session::dispatch(const Frame& frame) {
  if (!is_command(request_)) return fail(EINVAL, "neither a command nor a reply");
  if (state_ == State::silent && request_.command != abi::vfio_user_version)
    return fail(EINVAL, "VERSION comes first");
  switch (request_.command) {
    case abi::vfio_user_version:
      return version(frame);
    case abi::vfio_user_dma_map:
      return dma_map(frame);
    case abi::vfio_user_dma_unmap:
      return dma_unmap(frame);
    case abi::vfio_user_device_get_info:
      return get_info(frame);
    case abi::vfio_user_device_get_region_info:
      return region_info(frame);
    case abi::vfio_user_device_get_region_io_fds:
      return region_io_fds(frame);
    case abi::vfio_user_device_get_irq_info:
      return irq_info(frame);
    case abi::vfio_user_device_set_irqs:
      return set_irqs(frame);
    case abi::vfio_user_region_read:
      return region_read(frame);
    case abi::vfio_user_region_write:
      return region_write(frame);
    case abi::vfio_user_region_write_multi:
      return region_write_multi(frame);
    case abi::vfio_user_device_feature:
      return device_feature(frame);
    case abi::vfio_user_mig_data_read:
      return mig_data_read(frame);
    case abi::vfio_user_mig_data_write:
      return mig_data_write(frame);
    case abi::vfio_user_device_reset:
      return reset();
    default:
      return fail(ENOTTY, "unknown command");
  }
}

// --- How long it took.

void Session::begin_timing() {
  is_timed_ = false;
  if (!wants_reply(request_)) return;
  if (is_access(request_.command)) {
    if (until_timed_ != 0) return void(--until_timed_);
    until_timed_ = timed_every - 1;
  }
  is_timed_ = true;
  begun_ = world_.clock->now();
}

void Session::end_timing() {
  if (!std::exchange(is_timed_, false)) return;
  world_.counters->latency(request_.command).record_alone(world_.clock->now() - begun_);
}

// --- Replies.

void Session::reply(ConstBytes head, ConstBytes data) {
  if (!wants_reply(request_)) return;
  const abi::VfioUserHeader header = make_reply(request_, head.size() + data.size());
  outbox_.send({bytes_of(header), head, data});
}

void Session::reply(ConstBytes head, ConstBytes data, std::vector<os::UniqueFd> fds) {
  if (!wants_reply(request_)) return;
  const abi::VfioUserHeader header = make_reply(request_, head.size() + data.size());
  outbox_.send({bytes_of(header), head, data}, std::move(fds));
}

void Session::refuse(const Error& error) {
  world_.counters->error(error.code).add();
  if (!wants_reply(request_)) return;
  const abi::VfioUserHeader header = make_error_reply(request_, error.code);
  outbox_.send({bytes_of(header)});
}

// --- The operation under way.

Operation& Session::start(Pending pending) {
  pending_ = pending;
  operation_->begin();
  return *operation_;
}

// True when the answer is there.
bool Session::call_returned() {
  if (operation_->call_returned()) return true;
  if (dma_ && wants_reply(request_)) dma_->refuse_inside();
  return false;
}

void Session::operation_completed() {
  if (has_ended() || !is_busy() || pending_ == Pending::retry || !operation_->is_answered()) return;
  if (dma_) dma_->enter(wants_reply(request_));
  finish_operation();
  if (dma_) dma_->leave();
  if (is_busy()) return;
  end_timing();
  resume();
  observer_.session_changed();
}

void Session::finish_operation() {
  if (pending_ == Pending::write_multi) return write_answered();
  const Pending finished = std::exchange(pending_, Pending::nothing);
  const bool is_access = finished == Pending::read || finished == Pending::write;
  if (is_access && operation_->result()) [[likely]]
    return accessed(*operation_->result());
  const Result<std::uint64_t> result = operation_->result();  // the operation may go
  // A driver that was answered in place of may write to the buffer yet.
  if (!result) operation_ = std::make_shared<Operation>(mailbox_);
  if (!result && finished == Pending::opening) return opening_failed(result.error());
  if (!result && finished == Pending::adopting) return adoption_failed(result.error());
  if (!result) return refuse(result.error());

  Result<> answered;
  switch (finished) {
    case Pending::opening:
      answered = opened();
      break;
    case Pending::adopting:
      return adopted();
    case Pending::unmap:
      answered = unmapped(*result);
      break;
    case Pending::feature:
      answered = featured();
      break;
    default:
      reply({});
  }
  if (!answered) refuse(answered.error());
}

void Session::device_revoked() {
  if (has_ended()) return;
  end("the device is being removed");
  observer_.session_changed();
}

}  // namespace umdev::vfio_user
