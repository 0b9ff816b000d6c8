#include "drivers/ioat/mover.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace umdev::ioat {
namespace {

constexpr std::size_t pattern_size = sizeof(std::uint64_t);

std::uint32_t source_error(const Error& error) {
  return memory_error(error, spec::chanerr_src_addr, spec::chanerr_read_data);
}

std::uint32_t destination_error(const Error& error) {
  return memory_error(error, spec::chanerr_dest_addr, spec::chanerr_write_data);
}

// May the same access be made without a pin?
bool goes_unpinned(const Error& error) {
  return error.code == EOPNOTSUPP || error.code == ENOTTY || error.code == ENOMEM || error.code == E2BIG ||
         error.code == EACCES;  // type1 v1
}

// Two pins of the same size, which need not be cut at the same places.
void copy(const iommu::DmaPin& source, const iommu::DmaPin& destination) {
  auto from = source.segments();
  auto to = destination.segments();
  std::size_t from_at = 0;
  std::size_t to_at = 0;
  while (!from.empty() && !to.empty()) {
    const std::size_t count = std::min(from.front().length - from_at, to.front().length - to_at);
    // The ranges do not overlap, but the memory behind them may be the same.
    std::memmove(to.front().data + to_at, from.front().data + from_at, count);
    from_at += count;
    to_at += count;
    if (from_at == from.front().length) from = from.subspan(1), from_at = 0;
    if (to_at == to.front().length) to = to.subspan(1), to_at = 0;
  }
}

// The byte at position n of all is byte n mod 8 of the pattern.
void fill(std::uint64_t pattern, std::size_t position, Bytes into) {
  const std::uint64_t turned = std::rotr(pattern, static_cast<int>(8 * (position % pattern_size)));
  while (!into.empty()) {
    const std::size_t count = std::min(into.size(), pattern_size);
    std::memcpy(into.data(), &turned, count);
    into = into.subspan(count);
  }
}

}  // namespace

std::uint32_t memory_error(const Error& error, std::uint32_t address_bit, std::uint32_t data_bit) {
  return error.code == EINVAL || error.code == EPERM ? address_bit : data_bit;
}

void Mover::move(vfio::User& user, const Descriptor& descriptor, Moved done) {
  if (descriptor.is_null()) return done(0);
  descriptor_ = descriptor;
  done_ = std::move(done);
  std::uint32_t error = 0;
  switch (descriptor.is_fill() ? try_fill(user, error) : try_copy(user, error)) {
    case Way::in_place:
      return end(error);
    case Way::from_pin: {
      const iommu::DmaSegment from = pin_.segments().front();
      return write(user, {from.data, from.length});
    }
    case Way::into_pin: {
      const iommu::DmaSegment into = pin_.segments().front();
      return user.dma_read(descriptor_.source, {into.data, into.length},
                           [this](Result<> read) { end(read ? 0 : source_error(read.error())); });
    }
    case Way::by_buffer:
      buffer_ = take_buffer(descriptor.size);
      return descriptor.is_fill() ? fill_by_buffer(user) : copy_by_buffer(user);
  }
}

// New memory costs as much as a copy does, so it is kept; what it holds is always overwritten first.
Bytes Mover::take_buffer(std::size_t size) {
  if (capacity_ < size) {
    storage_ = std::make_unique_for_overwrite<std::byte[]>(size);
    capacity_ = size;
  }
  return {storage_.get(), size};
}

Mover::Way Mover::try_fill(vfio::User& user, std::uint32_t& error) {
  const auto destination = user.pin({descriptor_.destination, descriptor_.size}, iommu::Access::write);
  if (!destination) {
    error = destination_error(destination.error());
    return goes_unpinned(destination.error()) ? Way::by_buffer : Way::in_place;
  }
  std::size_t position = 0;
  for (const iommu::DmaSegment& segment : destination->segments()) {
    fill(descriptor_.source, position, {segment.data, segment.length});
    position += segment.length;
  }
  return Way::in_place;
}

// A pin is held over an access to the other side only where that is over at once: an unmap waits for it.
Mover::Way Mover::try_copy(vfio::User& user, std::uint32_t& error) {
  const iommu::IovaRange from{descriptor_.source, descriptor_.size};
  const iommu::IovaRange to{descriptor_.destination, descriptor_.size};
  if (descriptor_.overlaps()) return Way::by_buffer;
  auto source = user.pin(from, iommu::Access::read);
  if (!source && !goes_unpinned(source.error())) {
    error = source_error(source.error());
    return Way::in_place;
  }
  auto destination = user.pin(to, iommu::Access::write);
  if (!destination && !goes_unpinned(destination.error())) {
    error = destination_error(destination.error());
    return Way::in_place;
  }
  if (source && destination) {
    copy(*source, *destination);
    return Way::in_place;
  }
  if (source && source->segments().size() == 1 && user.copies_at_once(to)) {
    pin_ = std::move(*source);
    return Way::from_pin;
  }
  if (destination && destination->segments().size() == 1 && user.copies_at_once(from)) {
    pin_ = std::move(*destination);
    return Way::into_pin;
  }
  return Way::by_buffer;
}

void Mover::fill_by_buffer(vfio::User& user) {
  fill(descriptor_.source, 0, buffer_);
  write(user, buffer_);
}

void Mover::copy_by_buffer(vfio::User& user) {
  user.dma_read(descriptor_.source, buffer_, [this, &user](Result<> read) {
    if (!read) return end(source_error(read.error()));
    write(user, buffer_);
  });
}

void Mover::write(vfio::User& user, ConstBytes from) {
  user.dma_write(descriptor_.destination, from,
                 [this](Result<> written) { end(written ? 0 : destination_error(written.error())); });
}

void Mover::end(std::uint32_t error) {
  pin_.unpin();
  Moved done = std::move(done_);
  done(error);
}

}  // namespace umdev::ioat
