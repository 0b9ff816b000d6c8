// A descriptor, as the engine finds it in its user's memory: nothing in it can be trusted.
#pragma once

#include <cstdint>

#include "drivers/ioat/spec.h"
#include "umdev/support/bytes.h"

namespace umdev::ioat {

struct Descriptor {
  std::uint32_t size = 0;
  std::uint32_t control = 0;
  std::uint64_t source = 0;
  std::uint64_t destination = 0;
  std::uint64_t next = 0;

  // Of spec::descriptor_size bytes.
  static Descriptor from(ConstBytes bytes);

  bool wants_interrupt() const { return (control & spec::control_int) != 0; }
  bool wants_completion() const { return (control & spec::control_completion) != 0; }
  // CHANERR for a descriptor that cannot be carried out, whatever the memory is like; else 0, and then the
  // rest of this holds.
  std::uint32_t error() const;

  bool is_null() const { return (control & spec::control_null) != 0; }
  bool is_fill() const { return operation() == spec::operation_fill; }
  // Of a copy: do the two ranges have a byte in common?
  bool overlaps() const { return source < destination + size && destination < source + size; }

 private:
  std::uint8_t operation() const {
    return static_cast<std::uint8_t>(control >> spec::control_operation_shift);
  }
};

}  // namespace umdev::ioat
