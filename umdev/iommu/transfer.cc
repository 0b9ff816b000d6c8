// Copies between a device and its user's memory (the kernel's vfio_dma_rw).
#include <atomic>
#include <cstring>

#include "umdev/iommu/address_space_state.h"

namespace umdev::iommu {

// One read or write that is not a single copy: chunk by chunk in the order of the addresses, until the first
// error. Keeps itself alive while a backing works for it.
class AddressSpace::Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  // Where the device's bytes are: one of the two is used.
  struct Buffer {
    std::byte* into = nullptr;
    const std::byte* from = nullptr;
  };

  static void start(State& state, IovaRange range, Access access, Buffer buffer, Done<> done);

  Transfer(State& state, State::MappingList mappings, IovaRange range, Buffer buffer, Done<> done)
      : state_(state.shared_from_this()),
        mappings_(std::move(mappings)),
        range_(range),
        buffer_(buffer),
        done_(std::move(done)) {}

  // Goes on until the end, or until a backing has to be waited for. A backing may complete inside its call,
  // so whoever of the two comes second goes on: no recursion.
  void run() {
    while (next_ != mappings_.size()) {
      Mapping& mapping = *mappings_[next_++];
      const IovaRange part = mapping.part(range_);
      if (mapping.mappable) {
        result_ = copy(mapping, part, at(part));
      } else {
        turn_.store(false);
        ask(mapping, part);
        if (!turn_.exchange(true)) return;
      }
      if (!result_) break;
    }
    end();
  }

 private:
  Buffer at(IovaRange part) const {
    const std::uint64_t done = part.iova - range_.iova;
    return buffer_.into != nullptr ? Buffer{.into = buffer_.into + done}
                                   : Buffer{.from = buffer_.from + done};
  }

  void ask(Mapping& mapping, IovaRange part) {
    const std::uint64_t offset = mapping.backing_offset + (part.iova - mapping.range().iova);
    Done<> answered([self = shared_from_this()](Result<> result) { self->arrived(result); });
    if (!mapping.backing->intact()) {
      answered(fail(EFAULT, "the memory went bad"));
    } else if (buffer_.into != nullptr) {
      mapping.backing->read(offset, Bytes(at(part).into, part.size), std::move(answered));
    } else {
      mapping.backing->write(offset, ConstBytes(at(part).from, part.size), std::move(answered));
    }
  }

  void arrived(Result<> result) {
    result_ = result;
    if (!turn_.exchange(true)) return;  // run() has not come back from ask() yet, and goes on
    result_ ? run() : end();
  }

  void end() {
    if (buffer_.from != nullptr) state_->note_write(range_);
    for (Mapping* mapping : mappings_) state_->end_copy(*mapping);
    mappings_.clear();
    Done<> done = std::move(done_);
    done(result_);
  }

  // The caller has checked that the mapping is mappable.
  static Result<> copy(Mapping& mapping, IovaRange part, Buffer buffer) {
    std::byte* const first = mapping.reach();
    if (first == nullptr || !mapping.intact()) return fail(EFAULT, "the memory went bad");
    std::byte* const memory = first + (part.iova - mapping.range().iova);
    if (buffer.into != nullptr) {
      std::memcpy(buffer.into, memory, part.size);
    } else {
      std::memcpy(memory, buffer.from, part.size);
    }
    // The owner may have truncated the file meanwhile; then these were zero pages.
    if (!mapping.intact()) return fail(EFAULT, "the memory went bad");
    return {};
  }

  const std::shared_ptr<State> state_;
  State::MappingList mappings_;  // each with a copy that end() gives back
  const IovaRange range_;
  const Buffer buffer_;
  Done<> done_;
  std::size_t next_ = 0;
  Result<> result_;
  std::atomic<bool> turn_ = false;
};

void AddressSpace::Transfer::start(State& state, IovaRange range, Access access, Buffer buffer, Done<> done) {
  if (range.size == 0) return done(fail(EINVAL, "nothing to copy"));
  if (!range.valid()) return done(fail(EOVERFLOW, "the range wraps"));
  std::shared_ptr<State> stay;
  Mapping* const single = state.begin_copy(range, access, stay);
  if (single != nullptr && single->mappable) {
    const Result<> copied = copy(*single, range, buffer);
    if (buffer.from != nullptr) state.note_write(range);
    state.end_copy(*single);
    return done(copied);
  }
  stay = state.shared_from_this();  // a copy that ends may end an unmap
  State::MappingList mappings;
  if (single != nullptr) {
    mappings.push_back(single);
  } else if (auto covering = state.cover(range, access)) {
    mappings = std::move(*covering);
  } else {
    return done(std::unexpected(covering.error()));
  }
  std::make_shared<Transfer>(state, std::move(mappings), range, buffer, std::move(done))->run();
}

void AddressSpace::read(Iova iova, Bytes into, Done<> done) {
  Transfer::start(*state_, {.iova = iova, .size = into.size()}, Access::read, {.into = into.data()},
                  std::move(done));
}

void AddressSpace::write(Iova iova, ConstBytes from, Done<> done) {
  Transfer::start(*state_, {.iova = iova, .size = from.size()}, state_->options.write_needs,
                  {.from = from.data()}, std::move(done));
}

}  // namespace umdev::iommu
