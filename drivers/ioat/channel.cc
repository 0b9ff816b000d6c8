#include "drivers/ioat/channel.h"

#include <algorithm>
#include <array>
#include <utility>

#include "umdev/support/assert.h"

namespace umdev::ioat {
namespace {

using spec::State;

struct Register {
  std::uint16_t offset = 0;
  std::uint8_t size = 0;
};

// Those that can be written, in the order in which one access reaches them.
constexpr Register writable[] = {
    {spec::chanctrl, 2}, {spec::chancmd, 1}, {spec::dmacount, 2},     {spec::chainaddr, 8},
    {spec::chancmp, 8},  {spec::chanerr, 4}, {spec::chanerr_mask, 4}, {spec::dcactrl, 4},
};

template <std::unsigned_integral T>
T merge(T before, std::uint64_t value, std::uint64_t mask) {
  return static_cast<T>((before & ~mask) | (value & mask));
}

}  // namespace

std::uint64_t Channel::status() const {
  return (last_ & spec::chansts_address) | static_cast<std::uint64_t>(state_);
}

void Channel::read(std::uint16_t offset, Bytes into) const {
  std::array<std::byte, spec::channel_size> image{};
  const auto put = [&](std::uint16_t at, auto value) { (void)store_le(Bytes(image), at, value); };
  put(spec::chanctrl, control_);
  put(spec::dma_comp, spec::dma_comp_v2);
  put(spec::chancmd, static_cast<std::uint8_t>(resetting_ ? spec::chancmd_reset : 0));
  put(spec::dmacount, count_);
  put(spec::chansts, status());
  put(spec::chainaddr, chain_);
  put(spec::chancmp, completion_);
  put(spec::cdar, next_);
  put(spec::chanerr, error_);
  put(spec::chanerr_mask, error_mask_);
  put(spec::dcactrl, dca_);
  std::ranges::copy(ConstBytes(image).subspan(offset, into.size()), into.begin());
}

// An access may be of any size: each register gets the bytes that are for it, and a mask of which they are.
void Channel::write(std::uint16_t offset, ConstBytes from) {
  for (const Register& reg : writable) {
    std::uint64_t value = 0;
    std::uint64_t mask = 0;
    for (unsigned byte = 0; byte < reg.size; ++byte) {
      const unsigned at = reg.offset + byte;
      if (at < offset || at - offset >= from.size()) continue;
      value |= std::to_integer<std::uint64_t>(from[at - offset]) << (8 * byte);
      mask |= std::uint64_t{0xff} << (8 * byte);
    }
    if (mask != 0) write_register(reg.offset, value, mask);
  }
}

void Channel::write_register(std::uint16_t offset, std::uint64_t value, std::uint64_t mask) {
  switch (offset) {
    case spec::chanctrl:
      return write_control(static_cast<std::uint16_t>(value), static_cast<std::uint16_t>(mask));
    case spec::chancmd:
      return command(static_cast<std::uint8_t>(value));
    case spec::dmacount:
      return write_count(merge(count_, value, mask));
    case spec::chainaddr:
      return write_chain(merge(chain_, value, mask));
    case spec::chancmp:
      completion_ = merge(completion_, value, mask) & spec::chancmp_mask;
      return;
    case spec::chanerr:
      error_ &= ~static_cast<std::uint32_t>(value);
      return;
    case spec::chanerr_mask:
      error_mask_ = merge(error_mask_, value, mask);
      return;
    case spec::dcactrl:
      dca_ = merge(dca_, value, mask);
      return;
    default:
      return;
  }
}

// Writing 1 to INT_REARM arms the interrupt again; what was held back meanwhile comes then.
void Channel::write_control(std::uint16_t value, std::uint16_t mask) {
  const std::uint16_t told = control_ & spec::chanctrl_int_rearm;
  control_ = merge(control_, value, mask & spec::chanctrl_writable) | told;
  if ((value & spec::chanctrl_int_rearm) == 0) return;
  control_ &= static_cast<std::uint16_t>(~spec::chanctrl_int_rearm);
  if (std::exchange(held_back_, false)) interrupt();
}

// A halted channel stays so: it needs a chain first.
void Channel::write_count(std::uint16_t count) {
  count_ = count;
  if (state_ == State::halted) return;
  if (left() == 0) {
    if (state_ == State::active && !under_way_) state_ = State::done;
    return;
  }
  suspend_ = false;
  state_ = State::active;
}

// Begins a new chain, of which nothing is queued. While an error stands, the channel stays halted.
void Channel::write_chain(std::uint64_t address) {
  cancel();
  chain_ = next_ = address;
  count_ = done_ = 0;
  last_ = 0;
  suspend_ = false;
  if (address % spec::descriptor_size != 0) return fail_with(spec::chanerr_chain_addr_value);
  state_ = error_ == 0 ? State::armed : State::halted;
}

// Of several commands at once, the one that stops most.
void Channel::command(std::uint8_t bits) {
  if ((bits & spec::chancmd_reset) != 0) {
    reset();
  } else if ((bits & spec::chancmd_abort) != 0) {
    cancel();
    suspend_ = false;
    state_ = State::halted;
  } else if ((bits & spec::chancmd_suspend) != 0) {
    if (state_ == State::halted) return;
    if (under_way_ && !cancelled_)
      suspend_ = true;
    else
      state_ = State::suspended;
  } else if ((bits & spec::chancmd_resume) != 0) {
    suspend_ = false;
    if (state_ != State::suspended) return;
    state_ = left() == 0 && done_ == 0 ? State::armed : state_after_done();
  }
}

void Channel::reset() {
  const bool under_way = under_way_;
  *this = Channel();
  under_way_ = cancelled_ = resetting_ = under_way;
}

std::uint64_t Channel::begin() {
  UMDEV_ASSERT(has_work(), "a channel was made to go on that may not");
  under_way_ = true;
  return next_;
}

State Channel::state_after_done() const {
  return left() == 0 ? State::done : State::active;
}

std::optional<Channel::Completion> Channel::completion(const Descriptor& descriptor,
                                                       std::uint32_t error) const {
  if (cancelled_) return std::nullopt;
  if (error != 0) {
    if ((control_ & spec::chanctrl_err_completion_en) == 0) return std::nullopt;
    return Completion{completion_,
                      (last_ & spec::chansts_address) | static_cast<std::uint64_t>(State::halted)};
  }
  if (!descriptor.wants_completion()) return std::nullopt;
  const bool more = left() > 1;
  const State state = suspend_ ? State::suspended : more ? State::active : State::done;
  return Completion{completion_, (next_ & spec::chansts_address) | static_cast<std::uint64_t>(state)};
}

void Channel::finish(const Descriptor& descriptor, std::uint32_t error) {
  UMDEV_ASSERT(under_way_, "no descriptor is under way");
  under_way_ = false;
  if (std::exchange(cancelled_, false)) {
    resetting_ = false;
    return;
  }
  if (error != 0) return fail_with(error);
  last_ = next_;
  next_ = descriptor.next;
  // The user may have taken back what it had queued.
  if (left() != 0) ++done_;
  state_ = std::exchange(suspend_, false) ? State::suspended : state_after_done();
  if (descriptor.wants_interrupt()) interrupt();
}

void Channel::fail_with(std::uint32_t error) {
  error_ |= error;
  state_ = State::halted;
  suspend_ = false;
  const bool tells = (control_ & spec::chanctrl_err_int_en) != 0;
  if (tells && (error & ~error_mask_) != 0) interrupt();
}

void Channel::interrupt() {
  if ((control_ & spec::chanctrl_int_rearm) != 0) {
    held_back_ = true;
    return;
  }
  control_ |= spec::chanctrl_int_rearm;
  interrupt_ = true;
}

bool Channel::take_interrupt() {
  return std::exchange(interrupt_, false);
}

void Channel::save(StreamWriter& stream) const {
  UMDEV_ASSERT(!under_way_, "a channel is saved between two descriptors");
  stream.begin(section_tag, section_version);
  stream.put(control_);
  stream.put(count_);
  stream.put(done_);
  stream.put(chain_);
  stream.put(completion_);
  stream.put(error_);
  stream.put(error_mask_);
  stream.put(dca_);
  stream.put(last_);
  stream.put(next_);
  stream.put(static_cast<std::uint8_t>(state_));
  stream.put_flag(interrupt_);
  stream.put_flag(held_back_);
}

Result<Channel> Channel::load(SectionReader section) {
  Channel channel;
  channel.control_ = UMDEV_TRY(section.get<std::uint16_t>());
  channel.count_ = UMDEV_TRY(section.get<std::uint16_t>());
  channel.done_ = UMDEV_TRY(section.get<std::uint16_t>());
  channel.chain_ = UMDEV_TRY(section.get<std::uint64_t>());
  channel.completion_ = UMDEV_TRY(section.get<std::uint64_t>());
  channel.error_ = UMDEV_TRY(section.get<std::uint32_t>());
  channel.error_mask_ = UMDEV_TRY(section.get<std::uint32_t>());
  channel.dca_ = UMDEV_TRY(section.get<std::uint32_t>());
  channel.last_ = UMDEV_TRY(section.get<std::uint64_t>());
  channel.next_ = UMDEV_TRY(section.get<std::uint64_t>());
  const auto state = UMDEV_TRY(section.get<std::uint8_t>());
  if (state > static_cast<std::uint8_t>(State::armed)) return fail(EINVAL, "no state of a DMA channel");
  channel.state_ = State{state};
  channel.interrupt_ = UMDEV_TRY(section.get_flag());
  channel.held_back_ = UMDEV_TRY(section.get_flag());
  UMDEV_TRY(section.end());
  if (!channel.is_possible()) return fail(EINVAL, "a DMA channel cannot be in this state");
  return channel;
}

bool Channel::is_possible() const {
  const bool told = (control_ & spec::chanctrl_int_rearm) != 0;
  if ((control_ & ~(spec::chanctrl_writable | spec::chanctrl_int_rearm)) != 0) return false;
  if ((completion_ & ~spec::chancmp_mask) != 0) return false;
  if (error_ != 0 && state_ != State::halted) return false;
  if ((interrupt_ || held_back_) && !told) return false;
  if (state_ == State::active && left() == 0) return false;
  if ((state_ == State::done || state_ == State::armed) && left() != 0) return false;
  return true;
}

}  // namespace umdev::ioat
