// The mappings of a space by their first address: one thread at a time changes it, any number look things up
// meanwhile without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "umdev/iommu/stable_pool.h"
#include "umdev/iommu/types.h"

namespace umdev::iommu {

// Two levels: a directory of leaves, each a sorted array. A change makes a new leaf (and a new directory when
// the number of leaves changes) and publishes it with one store, so a reader sees the state before or the
// state after. What was replaced is used again later, never freed before the index: a reader that dawdles may
// then look into a leaf that holds something else by now. So what a reader gets is a hint: it must make sure
// itself that the value is what it looked for, and ask again under the writers' lock when it is not. A
// value's memory must therefore outlive the index too.
template <typename Value>
class IovaIndex {
 public:
  IovaIndex() { directory_.store(new_directory(1), std::memory_order_release); }
  IovaIndex(const IovaIndex&) = delete;
  IovaIndex& operator=(const IovaIndex&) = delete;

  // The value with the greatest first address that is not above `iova`, or null. From any thread, as a hint;
  // exact for whoever holds the writers' lock.
  Value* at_or_before(Iova iova) const {
    const Directory& directory = *directory_.load(std::memory_order_acquire);
    const std::size_t place = directory.up_to(iova);
    if (place == 0) return nullptr;
    const Leaf* leaf = directory.leaves[place - 1].load(std::memory_order_acquire);
    if (leaf == nullptr) return nullptr;
    const std::size_t group = leaf->groups_up_to(iova);
    if (group == 0) return nullptr;
    __builtin_prefetch(&leaf->values[(group - 1) * group_size]);  // while the group's addresses are compared
    const std::size_t entry = leaf->up_to(iova, group);
    return entry == 0 ? nullptr : leaf->values[entry - 1].load(std::memory_order_acquire);
  }

  // The same value, if what lies near it begins at regular distances, as mappings do as a rule; else any
  // value, or null. It looks at no addresses in the leaf, which of tens of thousands of mappings are as much
  // again for the processor's caches as the values. From any thread.
  Value* guess(Iova iova) const {
    const Directory& directory = *directory_.load(std::memory_order_acquire);
    const std::size_t place = directory.up_to(iova);
    if (place == 0) return nullptr;
    const Leaf* leaf = directory.leaves[place - 1].load(std::memory_order_acquire);
    if (leaf == nullptr) return nullptr;
    return leaf->values[directory.guess(place - 1, iova)].load(std::memory_order_acquire);
  }

  // --- with the writers' lock held ---

  // Nothing begins at `first` yet, which is not the last address that there is.
  void insert(Iova first, Value& value) {
    ++size_;
    Directory& directory = current();
    const std::size_t leaves = directory.count.load();
    if (leaves == 0) return publish(spliced(directory, 0, 0, {&fresh_leaf(first, value), nullptr}));
    const std::size_t up_to = count_up_to(directory.firsts.get(), leaves, first);
    const std::size_t place = up_to == 0 ? 0 : up_to - 1;
    Leaf& leaf = *directory.leaves[place].load();
    const std::size_t entry = leaf.up_to(first);
    if (leaf.count != leaf_capacity) {
      if (entry == leaf.count) {
        leaf.append(first, value);
        return directory.set_density(place, leaf);
      }
      return replace(directory, place, copy_with(leaf, 0, leaf.count, entry, first, value));
    }
    if (entry == leaf_capacity && place + 1 == leaves) {  // addresses that rise fill their leaves
      return publish(spliced(directory, leaves, 0, {&fresh_leaf(first, value), nullptr}));
    }
    constexpr std::size_t half = leaf_capacity / 2;
    const bool low = entry <= half;
    Leaf& left = low ? copy_with(leaf, 0, half, entry, first, value) : copy(leaf, 0, half);
    Leaf& right =
        low ? copy(leaf, half, leaf_capacity) : copy_with(leaf, half, leaf_capacity, entry, first, value);
    publish(spliced(directory, place, 1, {&left, &right}));
    retire(leaf);
  }

  // Something begins at `first`.
  void erase(Iova first) {
    --size_;
    Directory& directory = current();
    const std::size_t leaves = directory.count.load();
    const std::size_t place = count_up_to(directory.firsts.get(), leaves, first) - 1;
    Leaf& leaf = *directory.leaves[place].load();
    if (leaf.count == 1) {
      publish(spliced(directory, place, 1, {nullptr, nullptr}));
      return retire(leaf);
    }
    Leaf& smaller = copy_without(leaf, leaf.up_to(first) - 1);
    if (smaller.count >= leaf_capacity / 4 || !merge(directory, place, smaller)) {
      replace(directory, place, smaller);
    }
  }

  std::size_t size() const { return size_; }

  // Calls `function(value)`, in the order of the addresses, from at_or_before(from) on, until it says false.
  // The function does not change the index.
  template <typename Function>
  void visit(Iova from, const Function& function) const {
    const Directory& directory = *directory_.load();
    const std::size_t leaves = directory.count.load();
    const std::size_t up_to = count_up_to(directory.firsts.get(), leaves, from);
    for (std::size_t place = up_to == 0 ? 0 : up_to - 1; place < leaves; ++place) {
      const Leaf& leaf = *directory.leaves[place].load();
      const std::size_t before = leaf.up_to(from);
      for (std::size_t entry = before == 0 ? 0 : before - 1; entry < leaf.count; ++entry) {
        if (!function(*leaf.values[entry].load())) return;
      }
    }
  }

 private:
  static constexpr std::size_t leaf_capacity = 64;
  static constexpr std::size_t group_size = 8;  // addresses in a cache line
  static constexpr Iova no_iova = UINT64_MAX;
  // So many of what was replaced stay as they are, for readers that dawdle.
  static constexpr std::size_t kept = 8;

  struct alignas(64) Leaf {
    // Behind the last entry all first addresses are `no_iova`: readers need no count, and search a fixed
    // number. Each eighth stands in `groups` too, so that a search takes two cache lines of addresses.
    std::array<std::atomic<Iova>, leaf_capacity / group_size> groups{};
    std::array<std::atomic<Iova>, leaf_capacity> firsts{};
    std::array<std::atomic<Value*>, leaf_capacity> values{};
    std::size_t count = 0;  // the writers'

    Leaf() { forget(leaf_capacity); }

    std::size_t groups_up_to(Iova iova) const {
      return count_all(groups.data(), groups.size(), below_no(iova));
    }
    std::size_t up_to(Iova iova, std::size_t group) const {
      const std::size_t begin = (group - 1) * group_size;
      return begin + count_all(&firsts[begin], group_size, below_no(iova));
    }
    std::size_t up_to(Iova iova) const {
      const std::size_t group = groups_up_to(iova);
      return group == 0 ? 0 : up_to(iova, group);
    }
    void append(Iova first, Value& value) {
      values[count].store(&value, std::memory_order_release);
      firsts[count].store(first, std::memory_order_release);
      if (count % group_size == 0) groups[count / group_size].store(first, std::memory_order_release);
      ++count;
    }
    void append_part(const Leaf& from, std::size_t begin, std::size_t end) {
      for (std::size_t entry = begin; entry < end; ++entry) {
        append(from.firsts[entry].load(std::memory_order_relaxed),
               *from.values[entry].load(std::memory_order_relaxed));
      }
    }
    // Behind the last entry it is empty already.
    void clear() {
      forget(count);
      count = 0;
    }

   private:
    void forget(std::size_t entries) {
      for (std::size_t entry = 0; entry < entries; entry += group_size)
        groups[entry / group_size].store(no_iova, std::memory_order_release);
      for (std::size_t entry = 0; entry < entries; ++entry)
        firsts[entry].store(no_iova, std::memory_order_release);
    }
  };

  struct Directory {
    explicit Directory(std::size_t the_capacity)
        : capacity(the_capacity),
          firsts(std::make_unique<std::atomic<Iova>[]>(the_capacity)),
          densities(std::make_unique<std::atomic<std::uint64_t>[]>(the_capacity)),
          leaves(std::make_unique<std::atomic<Leaf*>[]>(the_capacity)) {}
    const std::size_t capacity;
    std::atomic<std::size_t> count = 0;
    const std::unique_ptr<std::atomic<Iova>[]> firsts;
    // How many entries of each leaf begin in a page, on average, times 2^32; rounded up, so that an address
    // at which one begins leads to it and not to the one before.
    const std::unique_ptr<std::atomic<std::uint64_t>[]> densities;
    const std::unique_ptr<std::atomic<Leaf*>[]> leaves;

    void set_density(std::size_t place, const Leaf& leaf) {
      const std::uint64_t pages =
          leaf.count < 2 ? 0 : (leaf.firsts[leaf.count - 1].load() - leaf.firsts[0].load()) / page_size;
      densities[place].store(pages == 0 ? 0 : ((leaf.count - 1) << 32U) / pages + 1,
                             std::memory_order_relaxed);
    }
    // How many leaves begin at or before an address.
    std::size_t up_to(Iova iova) const {
      return count_up_to(firsts.get(), count.load(std::memory_order_acquire), iova);
    }
    // Where in its leaf an address would be, if the entries lay at regular distances.
    std::size_t guess(std::size_t place, Iova iova) const {
      const Iova first = firsts[place].load(std::memory_order_relaxed);
      const std::uint64_t density = densities[place].load(std::memory_order_relaxed);
      return ((iova - first) / page_size * density >> 32U) % leaf_capacity;
    }
  };

  static Iova below_no(Iova iova) { return iova == no_iova ? iova - 1 : iova; }

  // How many of the addresses are not above `iova`. Without branches that could be mispredicted, and each
  // comparison for itself: for a few that is faster than halving, where each waits for the one before.
  static std::size_t count_all(const std::atomic<Iova>* addresses, std::size_t count, Iova iova) {
    std::size_t result = 0;
    for (std::size_t index = 0; index != count; ++index)
      result += addresses[index].load(std::memory_order_acquire) <= iova ? 1 : 0;
    return result;
  }
  // The same of many that are sorted.
  static std::size_t count_up_to(const std::atomic<Iova>* sorted, std::size_t count, Iova iova) {
    const std::atomic<Iova>* base = sorted;
    while (count > group_size) {
      const std::size_t half = count / 2;
      base += base[half - 1].load(std::memory_order_acquire) <= iova ? half : 0;
      count -= half;
    }
    return static_cast<std::size_t>(base - sorted) + count_all(base, count, iova);
  }

  Directory& current() { return *directory_.load(); }
  void publish(Directory& next) {
    Directory* const old = directory_.load();
    directory_.store(&next, std::memory_order_release);
    old_directories_.push_back(old);
  }
  void retire(Leaf& leaf) { old_leaves_.push_back(&leaf); }

  void replace(Directory& directory, std::size_t place, Leaf& leaf) {
    Leaf* const old = directory.leaves[place].load();
    // The order matters to nobody: a reader that meets the new first address with the old leaf finds nothing
    // new in it.
    directory.leaves[place].store(&leaf, std::memory_order_release);
    directory.firsts[place].store(leaf.firsts[0].load(), std::memory_order_release);
    directory.set_density(place, leaf);
    retire(*old);
  }

  // Puts a leaf that has become small together with a neighbour, so that there are never many small ones.
  bool merge(Directory& directory, std::size_t place, Leaf& small) {
    const std::size_t leaves = directory.count.load();
    for (const std::size_t first : {place, place - 1}) {
      if (first >= leaves || first + 1 >= leaves) continue;
      Leaf& left = first == place ? small : *directory.leaves[first].load();
      Leaf& right = first == place ? *directory.leaves[place + 1].load() : small;
      if (left.count + right.count > leaf_capacity / 2) continue;
      Leaf& both = copy(left, 0, left.count);
      both.append_part(right, 0, right.count);
      Leaf* const replaced[] = {directory.leaves[first].load(), directory.leaves[first + 1].load()};
      publish(spliced(directory, first, 2, {&both, nullptr}));
      for (Leaf* leaf : replaced) retire(*leaf);
      retire(small);
      return true;
    }
    return false;
  }

  // The directory with `removed` leaves at `place` replaced by those of `added` that are not null.
  Directory& spliced(const Directory& old, std::size_t place, std::size_t removed,
                     std::array<Leaf*, 2> added) {
    const std::size_t old_count = old.count.load();
    std::size_t capacity = old.capacity;
    if (old_count + 2 > capacity) capacity *= 2;
    Directory& next = *new_directory(capacity);
    std::size_t count = 0;
    const auto push = [&](Iova first, std::uint64_t density, Leaf* leaf) {
      next.firsts[count].store(first, std::memory_order_release);
      next.densities[count].store(density, std::memory_order_relaxed);
      next.leaves[count++].store(leaf, std::memory_order_release);
    };
    const auto keep = [&](std::size_t index) {
      push(old.firsts[index].load(), old.densities[index].load(), old.leaves[index].load());
    };
    next.count.store(0, std::memory_order_release);
    for (std::size_t index = 0; index != place; ++index) keep(index);
    for (Leaf* leaf : added) {
      if (leaf == nullptr) continue;
      push(leaf->firsts[0].load(), 0, leaf);
      next.set_density(count - 1, *leaf);
    }
    for (std::size_t index = place + removed; index != old_count; ++index) keep(index);
    next.count.store(count, std::memory_order_release);
    return next;
  }

  Directory* new_directory(std::size_t capacity) {
    if (old_directories_.size() > kept && old_directories_.front()->capacity == capacity) {
      Directory* const used = old_directories_.front();
      old_directories_.pop_front();
      return used;
    }
    // Those that have become too small are kept, since a reader may have one: twice as large each, so less
    // than the last.
    while (!old_directories_.empty() && old_directories_.front()->capacity != capacity) {
      old_directories_.pop_front();
    }
    directories_.push_back(std::make_unique<Directory>(capacity));
    return directories_.back().get();
  }

  Leaf& empty_leaf() {
    Leaf* leaf = nullptr;
    if (old_leaves_.size() > kept) {
      leaf = old_leaves_.front();
      old_leaves_.pop_front();
    } else {
      leaf = &leaves_.take();
    }
    leaf->clear();
    return *leaf;
  }
  Leaf& fresh_leaf(Iova first, Value& value) {
    Leaf& leaf = empty_leaf();
    leaf.append(first, value);
    return leaf;
  }
  Leaf& copy(const Leaf& leaf, std::size_t begin, std::size_t end) {
    Leaf& result = empty_leaf();
    result.append_part(leaf, begin, end);
    return result;
  }
  Leaf& copy_with(const Leaf& leaf, std::size_t begin, std::size_t end, std::size_t at, Iova first,
                  Value& value) {
    Leaf& result = copy(leaf, begin, at);
    result.append(first, value);
    result.append_part(leaf, at, end);
    return result;
  }
  Leaf& copy_without(const Leaf& leaf, std::size_t entry) {
    Leaf& result = copy(leaf, 0, entry);
    result.append_part(leaf, entry + 1, leaf.count);
    return result;
  }

  std::atomic<Directory*> directory_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Directory>> directories_;
  StablePool<Leaf> leaves_;
  // Replaced, oldest first.
  std::deque<Directory*> old_directories_;
  std::deque<Leaf*> old_leaves_;
};

}  // namespace umdev::iommu
