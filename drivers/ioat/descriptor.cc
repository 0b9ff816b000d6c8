#include "drivers/ioat/descriptor.h"

namespace umdev::ioat {
namespace {

// No part of it lies beyond the end of the address space (nor may its end be 2^64, so that sums do not wrap).
bool is_range(std::uint64_t address, std::uint32_t size) {
  return address <= UINT64_MAX - size;
}

}  // namespace

Descriptor Descriptor::from(ConstBytes bytes) {
  return {.size = load_le<std::uint32_t>(bytes, spec::descriptor_size_field).value_or(0),
          .control = load_le<std::uint32_t>(bytes, spec::descriptor_control).value_or(0),
          .source = load_le<std::uint64_t>(bytes, spec::descriptor_source).value_or(0),
          .destination = load_le<std::uint64_t>(bytes, spec::descriptor_destination).value_or(0),
          .next = load_le<std::uint64_t>(bytes, spec::descriptor_next).value_or(0)};
}

std::uint32_t Descriptor::error() const {
  if ((control & spec::control_reserved) != 0) return spec::chanerr_control;
  if (operation() != spec::operation_copy && operation() != spec::operation_fill)
    return spec::chanerr_control;
  if (is_null() && is_fill()) return spec::chanerr_control;
  // A null descriptor has a size as well, though nothing is moved.
  if (size == 0 || size > spec::transfer_max) return spec::chanerr_length;
  if (is_null()) return 0;
  if (!is_fill() && !is_range(source, size)) return spec::chanerr_src_addr;
  if (!is_range(destination, size)) return spec::chanerr_dest_addr;
  return 0;
}

}  // namespace umdev::ioat
