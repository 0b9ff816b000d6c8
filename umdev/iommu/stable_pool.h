// Objects that are used again and again, and whose memory stays what it is until the pool goes: a reader
// without a lock may look at one that was given back meanwhile, and finds an object, if not the one it meant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "umdev/os/huge_pages.h"

namespace umdev::iommu {

// Not thread-safe. The last that was given back is taken first. Memory comes in pieces, each twice as large
// as the one before, and is touched when it is first taken from; from 2 MiB on they are huge pages, for
// thousands of objects that are looked up at random use up the processor's translations of small ones.
template <typename T>
class StablePool {
 public:
  StablePool() = default;
  StablePool(const StablePool&) = delete;
  StablePool& operator=(const StablePool&) = delete;
  ~StablePool() {
    for (Piece& piece : pieces_) std::destroy_n(piece.objects(), piece.taken);
  }

  T& take() {
    if (!free_.empty()) {
      T* const object = free_.back();
      free_.pop_back();
      return *object;
    }
    if (pieces_.empty() || pieces_.back().taken == pieces_.back().capacity) grow();
    Piece& piece = pieces_.back();
    return *std::construct_at(piece.objects() + piece.taken++);
  }
  void give_back(T& object) { free_.push_back(&object); }

 private:
  static constexpr std::size_t smallest = 4;
  static constexpr std::size_t huge_page = std::size_t{2} << 20U;

  struct Free {
    std::size_t alignment = alignof(T);
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(alignment)); }
  };
  struct Piece {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t capacity = 0;
    std::size_t taken = 0;  // at least once
    T* objects() const { return reinterpret_cast<T*>(memory.get()); }
  };

  void grow() {
    const std::size_t count = pieces_.empty() ? smallest : 2 * pieces_.back().capacity;
    const bool is_huge = count * sizeof(T) >= huge_page;
    const std::size_t alignment = is_huge ? huge_page : alignof(T);
    const std::size_t size = std::min(count * sizeof(T), huge_page);
    auto* const memory = static_cast<std::byte*>(::operator new(size, std::align_val_t(alignment)));
    pieces_.push_back({.memory = {memory, Free{alignment}}, .capacity = size / sizeof(T)});
    if (is_huge) os::prefer_huge_pages({memory, size});
  }

  std::vector<Piece> pieces_;
  std::vector<T*> free_;
};

}  // namespace umdev::iommu
