// Objects that are used again and again, and whose memory stays what it is until the pool goes: a reader
// without a lock may look at one that was given back meanwhile, and finds an object, if not the one it meant.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace umdev::iommu {

// Not thread-safe. The last that was given back is taken first.
template <typename T>
class StablePool {
 public:
  T& take() {
    if (free_.empty()) grow();
    T* const object = free_.back();
    free_.pop_back();
    return *object;
  }
  void give_back(T& object) { free_.push_back(&object); }

 private:
  static constexpr std::size_t smallest = 4;
  static constexpr std::size_t largest = 256;

  void grow() {
    const std::size_t count = chunks_.size() < 6 ? smallest << chunks_.size() : largest;
    chunks_.push_back(std::make_unique<T[]>(count));
    for (std::size_t index = count; index-- != 0;) free_.push_back(&chunks_.back()[index]);
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<T*> free_;
};

}  // namespace umdev::iommu
