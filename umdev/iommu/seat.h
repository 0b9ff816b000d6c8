// One user's pins in one mapping; included by this room's sources only.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/iommu/address_space.h"
#include "umdev/iommu/pin_word.h"
#include "umdev/iommu/shared_backings.h"
#include "umdev/iommu/stable_pool.h"

namespace umdev::iommu {

// What a pin counts itself in, and all that it has to know of the mapping. Of tens of thousands of mappings
// the processor's caches hold this much, and no more: so it is half a cache line, and the rest lies elsewhere
// (Rest). Whose and where changes only while the word is blocked and counts nothing; it may be looked at by
// anybody, who then must be counted in and look again.
class alignas(32) AddressSpace::Seat final : public DmaPin::Place {
 public:
  static constexpr std::uint32_t nobody = 0;
  struct Rest {
    std::atomic<Mapping*> mapping = nullptr;
    std::atomic<Seat*> next = nullptr;  // in the same mapping
  };

  Seat() = default;
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  bool revoked() const { return (word.get() & PinWord::revoked) != 0; }
  bool left_behind() const {
    const PinWord::Value value = word.get();
    return (value & PinWord::revoked) != 0 && PinWord::count(value) != 0;
  }
  bool in_use() const {
    const PinWord::Value value = word.get();
    return (value & PinWord::revoked) == 0 && PinWord::count(value) != 0;
  }

  // Becomes one of this mapping.
  void describe(Mapping& of);
  // From now on nothing is pinned here without the lock.
  void forbid() { begin_and_more_.store(begin(), std::memory_order_relaxed); }

  Mapping* mapping() const { return rest().mapping.load(std::memory_order_relaxed); }
  std::atomic<Seat*>& next() const { return rest().next; }
  Iova begin() const { return begin_and_more_.load(std::memory_order_relaxed) & ~(page_size - 1); }
  // May that range be pinned here in this way? Never what lies beyond the first 16 TiB.
  bool allows_pin(const IovaRange& range, Access wanted) const {
    const std::uint64_t begin_and_more = begin_and_more_.load(std::memory_order_relaxed);
    const std::uint64_t offset = range.iova - (begin_and_more & ~(page_size - 1));
    const std::uint64_t size = pages_.load(std::memory_order_relaxed) * page_size;
    return offset < size && range.size <= size - offset &&
           allows(static_cast<Access>(begin_and_more & access_mask), wanted);
  }
  // For whoever is counted in: Mapping::reach(), what it said before if it did, and Mapping::intact().
  std::byte* reach() {
    std::byte* const known = known_memory();
    return known != nullptr ? known : ask_mapping();
  }
  std::byte* known_memory() const { return memory_.load(std::memory_order_acquire); }
  bool intact(const SharedBackings& backings) const {
    const std::uint64_t begin_and_more = begin_and_more_.load(std::memory_order_relaxed);
    const Backing* const backing = backings.at(begin_and_more % page_size / (access_mask + 1));
    return backing != nullptr ? backing->intact() : mapping_is_intact();
  }

  PinWord word;
  std::atomic<std::uint32_t> user = nobody;  // the number of its record

 private:
  static constexpr std::uint64_t access_mask = 3;
  static_assert(SharedBackings::most * (access_mask + 1) <= page_size);

  Rest& rest() const;
  std::byte* ask_mapping();
  bool mapping_is_intact() const;

  std::atomic<std::uint32_t> pages_ = 0;  // of the mapping, at most so many as fit
  // The first address, and in the bits of the page: for what it may be pinned, and which backing it is of.
  std::atomic<std::uint64_t> begin_and_more_ = 0;
  std::atomic<std::byte*> memory_ = nullptr;  // of the first byte, once somebody has used it
};

// As StablePool, of seats side by side, and their rests elsewhere.
class AddressSpace::SeatPool {
 public:
  Seat& take() {
    if (free_.empty()) grow();
    Seat* const seat = free_.back();
    free_.pop_back();
    return *seat;
  }
  void give_back(Seat& seat) {
    seat.next() = nullptr;
    free_.push_back(&seat);
  }

  static Seat::Rest& rest_of(const Seat& seat) {
    // A block begins at a multiple of its size.
    const auto address = reinterpret_cast<std::uintptr_t>(&seat);
    const auto& block = *reinterpret_cast<const Block*>(address & ~(block_size - 1));  // NOLINT(*-int-to-ptr)
    return block.rests[static_cast<std::size_t>(&seat - block.seats.data())];
  }

 private:
  static constexpr std::size_t block_size = 4096;
  static constexpr std::size_t seats_in_block = block_size / sizeof(Seat) - 1;
  struct alignas(block_size) Block {
    alignas(Seat) const std::unique_ptr<Seat::Rest[]> rests = std::make_unique<Seat::Rest[]>(seats_in_block);
    std::array<Seat, seats_in_block> seats;
  };
  static_assert(sizeof(Block) == block_size);

  void grow() {
    Block& block = blocks_.take();
    for (std::size_t index = seats_in_block; index != 0; --index) free_.push_back(&block.seats[index - 1]);
  }

  StablePool<Block> blocks_;
  std::vector<Seat*> free_;
};

inline AddressSpace::Seat::Rest& AddressSpace::Seat::rest() const {
  return SeatPool::rest_of(*this);
}

}  // namespace umdev::iommu
