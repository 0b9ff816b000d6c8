#include "drivers/ioat/engine.h"

#include <algorithm>
#include <array>
#include <utility>

namespace umdev::ioat {
namespace {

constexpr StreamTag engine_tag("ioat");
constexpr std::uint16_t engine_version = 1;
constexpr std::uint8_t control_writable = spec::intrctrl_master_int_en | spec::intrctrl_msix_vector_control;

bool covers(std::uint64_t offset, std::size_t size, std::uint64_t byte) {
  return offset <= byte && byte - offset < size;
}

}  // namespace

// Registers in blocks of channel_size: first those of the engine, then those of each channel, then nothing.
void Engine::read(std::uint64_t offset, Bytes into) {
  while (!into.empty()) {
    const std::uint64_t block = offset / spec::channel_size;
    const std::uint64_t in_block = offset % spec::channel_size;
    const Bytes part = into.first(std::min<std::size_t>(into.size(), spec::channel_size - in_block));
    if (block == 0)
      read_general(in_block, part);
    else if (block <= channels_.size())
      channels_[block - 1].read(static_cast<std::uint16_t>(in_block), part);
    else
      std::ranges::fill(part, std::byte{0});
    offset += part.size();
    into = into.subspan(part.size());
  }
}

void Engine::write(std::uint64_t offset, ConstBytes from) {
  while (!from.empty()) {
    const std::uint64_t block = offset / spec::channel_size;
    const std::uint64_t in_block = offset % spec::channel_size;
    const ConstBytes part = from.first(std::min<std::size_t>(from.size(), spec::channel_size - in_block));
    if (block == 0)
      write_general(in_block, part);
    else if (block <= channels_.size())
      channels_[block - 1].write(static_cast<std::uint16_t>(in_block), part);
    offset += part.size();
    from = from.subspan(part.size());
  }
}

void Engine::read_general(std::uint64_t offset, Bytes into) {
  std::array<std::byte, spec::channel_size> image{};
  const auto put = [&](std::uint16_t at, auto value) { (void)store_le(Bytes(image), at, value); };
  std::uint8_t control = control_;
  if (attention_ != 0) control |= spec::intrctrl_int_status;
  if (line()) control |= spec::intrctrl_int;
  put(spec::chancnt, static_cast<std::uint8_t>(channels_.size()));
  put(spec::xfercap, spec::xfercap_value);
  put(spec::genctrl, general_control_);
  put(spec::intrctrl, control);
  put(spec::attnstatus, attention_);
  put(spec::cbver, spec::cbver_value);
  put(spec::intrdelay, delay_);
  put(spec::dmacap, spec::dmacap_fill_block);
  std::ranges::copy(ConstBytes(image).subspan(offset, into.size()), into.begin());

  // Whoever looks at the shared interrupt has it to itself until it enables it again.
  if (covers(offset, into.size(), spec::intrctrl))
    control_ &= static_cast<std::uint8_t>(~spec::intrctrl_master_int_en);
  if (covers(offset, into.size(), spec::attnstatus)) attention_ = 0;
}

void Engine::write_general(std::uint64_t offset, ConstBytes from) {
  const auto byte = [&](std::uint64_t at) { return std::to_integer<std::uint8_t>(from[at - offset]); };
  if (covers(offset, from.size(), spec::genctrl))
    general_control_ = byte(spec::genctrl) & spec::genctrl_debug_en;
  if (covers(offset, from.size(), spec::intrctrl)) control_ = byte(spec::intrctrl) & control_writable;
  for (unsigned half = 0; half < 2; ++half) {
    if (!covers(offset, from.size(), spec::intrdelay + half)) continue;
    const unsigned others = delay_ & ~(0xffU << (8 * half));
    delay_ = static_cast<std::uint16_t>((others | (byte(spec::intrdelay + half) << (8U * half))) &
                                        spec::intrdelay_mask);
  }
}

// Channels that send messages of their own do not share an interrupt.
bool Engine::line() const {
  return attention_ != 0 && (control_ & spec::intrctrl_master_int_en) != 0 && !sends_by_channel();
}

Signals Engine::take_signals() {
  Signals signals;
  for (unsigned index = 0; index < channels_.size(); ++index) {
    if (!channels_[index].take_interrupt()) continue;
    attention_ |= 1U << index;
    if (sends_by_channel()) signals.channels |= 1U << index;
  }
  if (std::exchange(line_, line()) != line_) signals.line = line_;
  return signals;
}

void Engine::save(StreamWriter& stream) const {
  stream.begin(engine_tag, engine_version);
  stream.put(general_control_);
  stream.put(control_);
  stream.put(attention_);
  stream.put(delay_);
  stream.put_flag(line_);
  for (const Channel& channel : channels_) channel.save(stream);
}

Result<> Engine::load(StreamReader& stream) {
  Engine engine(channel_count());
  SectionReader section = UMDEV_TRY(stream.take(engine_tag, engine_version));
  engine.general_control_ = UMDEV_TRY(section.get<std::uint8_t>());
  engine.control_ = UMDEV_TRY(section.get<std::uint8_t>());
  engine.attention_ = UMDEV_TRY(section.get<std::uint32_t>());
  engine.delay_ = UMDEV_TRY(section.get<std::uint16_t>());
  engine.line_ = UMDEV_TRY(section.get_flag());
  UMDEV_TRY(section.end());
  const bool possible = (engine.general_control_ & ~spec::genctrl_debug_en) == 0 &&
                        (engine.control_ & ~control_writable) == 0 &&
                        (engine.attention_ >> channel_count()) == 0 &&
                        (engine.delay_ & ~spec::intrdelay_mask) == 0;
  if (!possible) return fail(EINVAL, "the DMA engine cannot be in this state");
  for (Channel& channel : engine.channels_) {
    const SectionReader saved = UMDEV_TRY(stream.take(Channel::section_tag, Channel::section_version));
    channel = UMDEV_TRY(Channel::load(saved));
  }
  *this = std::move(engine);
  return {};
}

}  // namespace umdev::ioat
