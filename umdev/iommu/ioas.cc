#include "umdev/iommu/ioas.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "umdev/iommu/translated.h"

namespace umdev::iommu {
namespace {

IovaSpan span_of(IovaRange range) {
  return {.start = range.iova, .last = range.last()};
}

constexpr bool overlap(IovaSpan a, IovaSpan b) {
  return a.start <= b.last && b.start <= a.last;
}

bool is_reachable(IovaSpan span) {
  return std::ranges::none_of(untranslated, [&](IovaRange range) { return overlap(span_of(range), span); });
}

// Until a device uses it a mapping may begin and end at any byte; then it is of pages. One that is not of
// pages is only remembered: no device can ever be attached to see it.
bool is_of_pages(const Ioas::Mapping& mapping) {
  return (mapping.iova | mapping.length) % page_size == 0;
}

// Where a mapping of this length begins best, in powers of two: as its memory does, so that both could be of
// large pages.
std::uint64_t preferred_alignment(const Ioas::Mapping& mapping, std::uint64_t least) {
  constexpr std::uint64_t most = 1ULL << 30;
  const std::uint64_t by_length = std::bit_ceil(std::min(mapping.length, most));
  const std::uint64_t by_address = mapping.user_address & -mapping.user_address;
  const std::uint64_t wanted = by_address == 0 ? by_length : std::min(by_length, by_address);
  return std::max(wanted, least);
}

}  // namespace

bool Ioas::overlaps(IovaSpan span) const {
  auto after = mappings_.upper_bound(span.last);
  if (after == mappings_.begin()) return false;
  const Mapping& before = std::prev(after)->second;
  return before.iova + (before.length - 1) >= span.start;
}

std::vector<IovaSpan> Ioas::spans() const {
  if (physical_devices_ == 0) return {{.start = 0, .last = UINT64_MAX}};
  std::vector<IovaSpan> result;
  for (const IovaRange range : translated) result.push_back(span_of(range));
  return result;
}

std::vector<IovaSpan> Ioas::valid_spans() const {
  Lock lock(mutex_);
  return spans();
}

std::uint64_t Ioas::alignment() const {
  Lock lock(mutex_);
  return devices_ == 0 ? 1 : page_size;
}

bool Ioas::needs_memory() const {
  Lock lock(mutex_);
  return physical_devices_ != 0;
}

std::uint32_t Ioas::mapping_count() const {
  Lock lock(mutex_);
  return static_cast<std::uint32_t>(mappings_.size());
}

bool Ioas::anything_in(Iova iova, std::uint64_t length) const {
  const IovaRange range{.iova = iova, .size = length};
  if (!range.valid()) return false;
  Lock lock(mutex_);
  return overlaps(span_of(range));
}

// --- Mapping

Result<> Ioas::check(const Mapping& mapping) const {
  const IovaRange range{.iova = mapping.iova, .size = mapping.length};
  if (mapping.length == 0) return fail(EINVAL, "a mapping is not empty");
  if (devices_ != 0 && !is_of_pages(mapping)) return fail(EINVAL, "not page aligned");
  if (!range.valid()) return fail(EOVERFLOW, "iova + length wraps");
  if (physical_devices_ != 0 && !is_translated(range))
    return fail(EINVAL, "a device cannot reach this address");
  if (overlaps(span_of(range))) return fail(EEXIST, "something is mapped there");
  return {};
}

Result<> Ioas::check_memory(const Mapping& mapping) const {
  if (physical_devices_ == 0) return {};
  if (mapping.memory_error != 0) return fail(mapping.memory_error, "the memory cannot be had");
  if (!mapping.backing) return fail(EFAULT, "there is no memory");
  return {};
}

Result<> Ioas::add(const Mapping& mapping) {
  UMDEV_TRY(check_memory(mapping));
  if (is_of_pages(mapping)) {
    UMDEV_TRY(space_.map({.range = {.iova = mapping.iova, .size = mapping.length},
                          .access = mapping.access,
                          .backing = mapping.backing,
                          .backing_offset = mapping.backing_offset}));
  } else if (space_.mappings_available() <= mappings_.size()) {
    return fail(ENOSPC, "no mapping is left");
  }
  mappings_.emplace(mapping.iova, mapping);
  return {};
}

Result<> Ioas::map(const Mapping& mapping) {
  Lock lock(mutex_);
  UMDEV_TRY(check(mapping));
  return add(mapping);
}

// The first page is never given out, nor the last.
Result<Iova> Ioas::find_room(const Mapping& mapping) const {
  const std::uint64_t least = devices_ == 0 ? 1 : page_size;
  const std::uint64_t in_page = devices_ == 0 ? mapping.user_address % page_size : 0;
  const std::uint64_t alignment = preferred_alignment(mapping, least);
  const std::uint64_t step = in_page == 0 ? alignment : page_size;
  for (const IovaSpan span : allowed_.empty() ? spans() : allowed_) {
    std::optional<Iova> at = std::max(span.start, page_size);
    const Iova last = std::min(span.last, UINT64_MAX - page_size);
    while (at) {
      const Iova begin = (*at + (step - 1)) / step * step + in_page;
      if (begin < *at || begin > last || mapping.length - 1 > last - begin) break;
      const auto after = mappings_.upper_bound(begin + (mapping.length - 1));
      if (after == mappings_.begin()) return begin;
      const Mapping& before = std::prev(after)->second;
      const Iova before_last = before.iova + (before.length - 1);
      if (before_last < begin) return begin;
      at = before_last == UINT64_MAX ? std::nullopt : std::optional(before_last + 1);
    }
  }
  return fail(ENOSPC, "there is no room for the mapping");
}

Result<Iova> Ioas::place(Mapping mapping) {
  Lock lock(mutex_);
  if (mapping.length == 0 || mapping.length >= UINT64_MAX / 2)
    return fail(mapping.length == 0 ? EINVAL : EOVERFLOW, "nothing to map, or too much");
  mapping.iova = UMDEV_TRY(find_room(mapping));
  UMDEV_TRY(check(mapping));
  UMDEV_TRY(add(mapping));
  return mapping.iova;
}

// Everything is checked before the first one is added, so that none is there after an error.
Result<> Ioas::add_row(std::vector<Mapping>& row) {
  Mapping whole = row.front();
  whole.length = 0;
  for (const Mapping& mapping : row) whole.length += mapping.length;
  UMDEV_TRY(check(whole));
  for (const Mapping& mapping : row) UMDEV_TRY(check_memory(mapping));
  if (space_.mappings_available() < row.size()) return fail(ENOSPC, "too few mappings are left");
  Iova iova = whole.iova;
  for (Mapping& mapping : row) {
    mapping.iova = iova;
    UMDEV_TRY(check(mapping));
    iova += mapping.length;
  }
  for (const Mapping& mapping : row) UMDEV_TRY(add(mapping));
  return {};
}

Result<> Ioas::map_row(std::vector<Mapping> row) {
  Lock lock(mutex_);
  return add_row(row);
}

Result<Iova> Ioas::place_row(std::vector<Mapping> row) {
  Mapping whole = row.front();
  for (std::size_t i = 1; i < row.size(); ++i) whole.length += row[i].length;
  Lock lock(mutex_);
  row.front().iova = UMDEV_TRY(find_room(whole));
  UMDEV_TRY(add_row(row));
  return row.front().iova;
}

void Ioas::unmap(Iova iova, std::uint64_t length, Done<std::uint64_t> done) {
  const bool everything = iova == 0 && length == UINT64_MAX;
  const IovaRange range{.iova = iova, .size = length};
  if (length == 0) return done(fail(EINVAL, "nothing to unmap"));
  if (!range.valid()) return done(fail(EOVERFLOW, "iova + length wraps"));
  std::uint64_t bytes = 0;
  {
    Lock lock(mutex_);
    auto first = everything ? mappings_.begin() : mappings_.lower_bound(iova);
    auto end = everything ? mappings_.end() : mappings_.upper_bound(range.last());
    if (!everything) {
      if (first == end || (first != mappings_.begin() &&
                           std::prev(first)->second.iova + (std::prev(first)->second.length - 1) >= iova))
        return done(fail(ENOENT, "nothing is there, or a mapping would be cut"));
      const Mapping& last = std::prev(end)->second;
      if (last.iova + (last.length - 1) > range.last()) return done(fail(ENOENT, "a mapping would be cut"));
    }
    for (auto each = first; each != end; ++each) bytes += each->second.length;
    mappings_.erase(first, end);
  }
  auto kept = std::make_shared<Done<std::uint64_t>>(std::move(done));
  space_.unmap(range, everything ? UnmapRule::everything : UnmapRule::whole,
               [kept, bytes](Result<std::uint64_t> unmapped) {
                 if (!unmapped) return (*kept)(std::unexpected(unmapped.error()));
                 (*kept)(bytes);
               });
}

Result<std::vector<Ioas::Mapping>> Ioas::slices(Iova iova, std::uint64_t length) const {
  const IovaRange range{.iova = iova, .size = length};
  if (length == 0) return fail(EINVAL, "nothing to copy");
  if (!range.valid()) return fail(EOVERFLOW, "iova + length wraps");
  std::vector<Mapping> result;
  Lock lock(mutex_);
  for (std::uint64_t at = 0; at < length;) {
    auto after = mappings_.upper_bound(iova + at);
    if (after == mappings_.begin()) return fail(ENOENT, "there is a hole");
    Mapping slice = std::prev(after)->second;
    const std::uint64_t skip = iova + at - slice.iova;
    if (skip >= slice.length) return fail(ENOENT, "there is a hole");
    slice.iova += skip;
    slice.user_address += skip;
    slice.backing_offset += skip;
    slice.length = std::min(slice.length - skip, length - at);
    at += slice.length;
    result.push_back(std::move(slice));
  }
  return result;
}

// --- Who may map where

Result<> Ioas::allow(std::vector<IovaSpan> spans) {
  std::ranges::sort(spans, {}, &IovaSpan::start);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].start >= spans[i].last) return fail(EINVAL, "an empty span");
    if (i > 0 && spans[i - 1].last >= spans[i].start) return fail(EINVAL, "two spans overlap");
  }
  Lock lock(mutex_);
  if (physical_devices_ != 0 && !std::ranges::all_of(spans, is_reachable))
    return fail(EADDRINUSE, "a device cannot reach what shall be allowed");
  allowed_ = std::move(spans);
  return {};
}

Result<> Ioas::attach(bool physical) {
  Lock lock(mutex_);
  for (const auto& [iova, mapping] : mappings_) {
    if (!is_of_pages(mapping)) return fail(EADDRINUSE, "something is mapped that is not page aligned");
    if (!physical) continue;
    if (!is_translated({.iova = iova, .size = mapping.length}))
      return fail(EADDRINUSE, "something is mapped that the device cannot reach");
    if (!mapping.backing) return fail(EFAULT, "something is mapped that is not there");
  }
  if (physical && !std::ranges::all_of(allowed_, is_reachable))
    return fail(EADDRINUSE, "the device cannot reach all that is allowed");
  ++devices_;
  if (physical) ++physical_devices_;
  return {};
}

void Ioas::detach(bool physical) {
  Lock lock(mutex_);
  --devices_;
  if (physical) --physical_devices_;
}

}  // namespace umdev::iommu
