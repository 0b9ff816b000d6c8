// The engine against a plain model: chains of random descriptors, in memory that the model has a copy of.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/unit/ioat/rig.h"

namespace umdev::ioat {
namespace {

using spec::State;

// How much of the user's memory is looked at: all descriptors that are good stay in it.
constexpr std::size_t watched = 32768;

// What the data sheet says of one descriptor, on a copy of the memory. CHANERR bits, 0 when it is done.
class Memory {
 public:
  explicit Memory(Bytes bytes) : bytes_(bytes.begin(), bytes.begin() + watched) {}

  std::uint32_t carry_out(const Descriptor& descriptor) {
    const auto operation = descriptor.control >> 24;
    if (operation > 1) return spec::chanerr_control;
    if (descriptor.size == 0 || descriptor.size > 1U << 20) return spec::chanerr_length;
    if (operation == 0 && !holds(descriptor.source, descriptor.size)) return spec::chanerr_src_addr;
    if (!holds(descriptor.destination, descriptor.size)) return spec::chanerr_dest_addr;
    std::vector<std::byte> moved;
    for (std::uint32_t at = 0; at < descriptor.size; ++at)
      moved.push_back(operation == 0 ? bytes_[descriptor.source - data + at]
                                     : static_cast<std::byte>(descriptor.source >> (at % 8 * 8)));
    std::ranges::copy(moved, bytes_.begin() + static_cast<std::ptrdiff_t>(descriptor.destination - data));
    return 0;
  }
  bool is(ConstBytes other) const { return std::memcmp(bytes_.data(), other.data(), watched) == 0; }

 private:
  bool holds(std::uint64_t address, std::uint32_t size) const {
    return address >= data && address - data <= data_size && size <= data_size - (address - data);
  }
  std::vector<std::byte> bytes_;
};

// Mostly good ones, near one another, so that they overlap.
Descriptor arbitrary_descriptor() {
  const bool fills = *rc::gen::inRange(0, 3) == 0;
  const int bad = *rc::gen::inRange(0, 30);
  Descriptor descriptor{.size = *rc::gen::inRange(1U, 5000U),
                        .control = fills ? fill : 0,
                        .source = data + *rc::gen::inRange(0U, 20000U),
                        .destination = data + *rc::gen::inRange(0U, 20000U)};
  if (bad == 0) descriptor.size = 0;
  if (bad == 1) descriptor.control = 0x02000000;
  if (bad == 2) descriptor.source = data + data_size - 1 + (descriptor.size == 1 ? 1 : 0);
  if (bad == 3) descriptor.destination = 0x10;
  return descriptor;
}

RC_GTEST_PROP(IoatModel, carries_out_chains_as_the_data_sheet_says, ()) {
  Rig rig;
  for (std::size_t at = 0; at < watched; ++at)
    rig.data_bytes[at] = static_cast<std::byte>(at * 13 + at / 256);
  if (*rc::gen::arbitrary<bool>()) rig.user.use_messages();
  Memory model(rig.data_bytes);
  rig.arm();
  std::uint16_t queued = 0;
  std::uint64_t last = 0;
  std::uint32_t error = 0;
  for (int batch = 0; batch < 8 && error == 0; ++batch) {
    const auto count = *rc::gen::inRange<std::uint16_t>(1, 9);
    std::vector<Descriptor> descriptors;
    for (std::uint16_t index = 0; index < count; ++index) {
      descriptors.push_back(arbitrary_descriptor());
      rig.put((queued + index) % ring_size, descriptors.back());
    }
    rig.queue(static_cast<std::uint16_t>(queued + count));
    RC_ASSERT(rig.state() == State::active);
    rig.run();
    for (std::uint16_t index = 0; index < count && error == 0; ++index) {
      error = model.carry_out(descriptors[index]);
      if (error == 0) last = Rig::descriptor((queued + index) % ring_size);
    }
    queued = static_cast<std::uint16_t>(queued + count);
    RC_ASSERT(rig.error() == error);
    RC_ASSERT(rig.state() == (error == 0 ? State::done : State::halted));
    RC_ASSERT(rig.last() == last);
    RC_ASSERT(model.is(rig.data_bytes));
    RC_ASSERT(rig.user.pin_count() == 0U);
  }
}

}  // namespace
}  // namespace umdev::ioat
