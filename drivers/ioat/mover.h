// Moves the bytes of one descriptor in its user's memory.
#pragma once

#include <cstdint>
#include <memory>

#include "drivers/ioat/descriptor.h"
#include "umdev/support/inline_function.h"
#include "umdev/vfio/user.h"

namespace umdev::ioat {

// Memory that can be pinned is copied in place, in one step; where only one side can be, and the other is
// reached at once (a program's own memory), in one step as well. Everything else, and two ranges that
// overlap, goes by a buffer of the descriptor's size, which is at most spec::transfer_max: so a copy within
// one range is always as if all of the source was read before the first byte was written. After an error a
// part may have been written.
//
// One descriptor at a time. No pin is held when `done` is called. The object must stay until then.
class Mover {
 public:
  // With the bits of CHANERR, 0 for success. Inside the call or later, on any thread.
  using Moved = InlineFunction<void(std::uint32_t), 32>;

  // Precondition: descriptor.error() == 0.
  void move(vfio::User& user, const Descriptor& descriptor, Moved done);

  // Gives the buffer back, which is kept from one descriptor to the next: while none is under way.
  void forget() { storage_.reset(), capacity_ = 0; }

 private:
  enum class Way : std::uint8_t {
    in_place,   // it has ended, in success or with an error
    from_pin,   // to write what `pin_` holds
    into_pin,   // to read to where `pin_` is
    by_buffer,  // nothing has been done
  };
  Way try_fill(vfio::User& user, std::uint32_t& error);
  Way try_copy(vfio::User& user, std::uint32_t& error);
  void fill_by_buffer(vfio::User& user);
  void copy_by_buffer(vfio::User& user);
  void write(vfio::User& user, ConstBytes from);
  void end(std::uint32_t error);
  Bytes take_buffer(std::size_t size);

  Descriptor descriptor_;
  std::unique_ptr<std::byte[]> storage_;
  std::size_t capacity_ = 0;
  Bytes buffer_;       // what the descriptor uses of it
  iommu::DmaPin pin_;  // of its one side
  Moved done_;
};

// What an error of a user's memory is to CHANERR: the bit of the address for one that is not there, or not
// for this access, the bit of the data for everything else.
std::uint32_t memory_error(const Error& error, std::uint32_t address_bit, std::uint32_t data_bit);

}  // namespace umdev::ioat
