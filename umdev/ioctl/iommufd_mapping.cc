#include "umdev/ioctl/iommufd_mapping.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "umdev/abi/iommufd.h"
#include "umdev/ioctl/locked_memory.h"
#include "umdev/ioctl/sized_argument.h"
#include "umdev/ioctl/world.h"

namespace umdev::ioctl {
namespace {

constexpr std::uint32_t map_flags =
    abi::iommu_ioas_map_fixed_iova | abi::iommu_ioas_map_writeable | abi::iommu_ioas_map_readable;

iommu::Access access_of(std::uint32_t flags) {
  const bool read = (flags & abi::iommu_ioas_map_readable) != 0;
  const bool write = (flags & abi::iommu_ioas_map_writeable) != 0;
  return static_cast<iommu::Access>((read ? 1U : 0U) | (write ? 2U : 0U));
}

// What MAP, MAP_FILE and COPY have in common, in the kernel's order.
Result<> check_map(std::uint32_t flags, std::uint64_t iova, std::uint64_t length) {
  if ((flags & ~map_flags) != 0) return fail(EOPNOTSUPP, "unknown flags");
  if (iova == UINT64_MAX || length == UINT64_MAX) return fail(EOVERFLOW, "the last address of all");
  if (access_of(flags) == iommu::Access::none) return fail(EINVAL, "neither READABLE nor WRITEABLE");
  return {};
}

Result<> map_or_place(iommu::Ioas& ioas, std::uint32_t flags, iommu::Ioas::Mapping& mapping) {
  if ((flags & abi::iommu_ioas_map_fixed_iova) != 0) return ioas.map(mapping);
  mapping.iova = UMDEV_TRY(ioas.place(mapping));
  return {};
}

// A mapping that its caller could not be told of goes again.
Result<> tell_or_unmap(Result<> told, iommu::Ioas& ioas, iommu::Iova iova, std::uint64_t length) {
  if (!told) ioas.unmap(iova, length, [](Result<std::uint64_t>) {});
  return told;
}

void charge_if_locked(Caller& caller, const iommu::Ioas& ioas, iommu::Ioas::Mapping& mapping) {
  if (!mapping.backing || !ioas.needs_memory()) return;
  auto charge = caller.locked_memory()->charge(mapping.length, caller.credentials());
  if (charge)
    mapping.backing = charged(std::move(mapping.backing), std::move(*charge));
  else
    mapping.memory_error = charge.error().code;
}

}  // namespace

iommu::Ioas::Mapping mapping_of(Caller& caller, const iommu::Ioas& ioas, UserAddress user_address,
                                std::uint64_t length, iommu::Access access) {
  iommu::Ioas::Mapping mapping{
      .length = length, .access = access, .user_address = user_address, .backing = {}};
  if (!iommu::IovaRange{.iova = user_address, .size = length}.valid()) return mapping;
  auto memory = caller.memory({.address = user_address,
                               .size = length,
                               .access = access,
                               .must_be_there = ioas.needs_memory(),
                               .device_memory = false});
  if (!memory) {
    mapping.memory_error = memory.error().code;
    return mapping;
  }
  mapping.backing = std::move(memory->backing);
  mapping.backing_offset = memory->offset;
  charge_if_locked(caller, ioas, mapping);
  return mapping;
}

Result<> ioas_map(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuIoasMap>(caller, argument));
  abi::IommuIoasMap& map = asked.value;
  if (map.reserved != 0) return fail(EOPNOTSUPP, "a reserved field is set");
  UMDEV_TRY(check_map(map.flags, map.iova, map.length));
  const auto ioas = UMDEV_TRY(iommufd.ioas(map.ioas_id));
  if (map.length != 0 && map.user_va + map.length < map.user_va) return fail(EOVERFLOW, "user_va wraps");
  auto mapping = mapping_of(caller, *ioas, map.user_va, map.length, access_of(map.flags));
  mapping.iova = map.iova;
  UMDEV_TRY(map_or_place(*ioas, map.flags, mapping));
  map.iova = mapping.iova;
  return tell_or_unmap(write_sized(caller, argument, asked), *ioas, map.iova, map.length);
}

Result<> ioas_map_file(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuIoasMapFile>(caller, argument));
  abi::IommuIoasMapFile& map = asked.value;
  UMDEV_TRY(check_map(map.flags, map.iova, map.length));
  const auto ioas = UMDEV_TRY(iommufd.ioas(map.ioas_id));
  if (map.length == 0) return fail(EINVAL, "a mapping is not empty");
  auto memory = UMDEV_TRY(caller.memory_of_file(map.fd, map.start, map.length, access_of(map.flags)));
  iommu::Ioas::Mapping mapping{.iova = map.iova,
                               .length = map.length,
                               .access = access_of(map.flags),
                               .user_address = map.start,
                               .backing = std::move(memory.backing),
                               .backing_offset = memory.offset};
  charge_if_locked(caller, *ioas, mapping);
  UMDEV_TRY(map_or_place(*ioas, map.flags, mapping));
  map.iova = mapping.iova;
  return tell_or_unmap(write_sized(caller, argument, asked), *ioas, map.iova, map.length);
}

Result<> ioas_copy(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuIoasCopy>(caller, argument));
  abi::IommuIoasCopy& copy = asked.value;
  if ((copy.flags & ~map_flags) != 0) return fail(EOPNOTSUPP, "unknown flags");
  if (copy.length == UINT64_MAX || copy.src_iova == UINT64_MAX || copy.dst_iova == UINT64_MAX)
    return fail(EOVERFLOW, "the last address of all");
  const auto source = UMDEV_TRY(iommufd.ioas(copy.src_ioas_id));
  auto slices = UMDEV_TRY(source->slices(copy.src_iova, copy.length));
  const auto target = UMDEV_TRY(iommufd.ioas(copy.dst_ioas_id));
  const iommu::Access access = access_of(copy.flags);
  for (iommu::Ioas::Mapping& slice : slices) {
    if (!allows(slice.access, access)) return fail(EPERM, "the source does not allow it");
    slice.access = access;
  }
  if ((copy.flags & abi::iommu_ioas_map_fixed_iova) != 0) {
    slices.front().iova = copy.dst_iova;
    UMDEV_TRY(target->map_row(std::move(slices)));
  } else {
    copy.dst_iova = UMDEV_TRY(target->place_row(std::move(slices)));
  }
  return tell_or_unmap(write_sized(caller, argument, asked), *target, copy.dst_iova, copy.length);
}

Result<> ioas_iova_ranges(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  auto asked = UMDEV_TRY(read_sized<abi::IommuIoasIovaRanges>(caller, argument));
  abi::IommuIoasIovaRanges& ranges = asked.value;
  if (ranges.reserved != 0) return fail(EOPNOTSUPP, "a reserved field is set");
  const auto ioas = UMDEV_TRY(iommufd.ioas(ranges.ioas_id));
  const auto spans = ioas->valid_spans();
  const auto fits = std::min<std::size_t>(ranges.num_iovas, spans.size());
  for (std::size_t i = 0; i < fits; ++i) {
    const abi::IommuIovaRange range{.start = spans[i].start, .last = spans[i].last};
    UMDEV_TRY(write_value(caller, ranges.allowed_iovas + i * sizeof range, range));
  }
  const bool too_few = ranges.num_iovas < spans.size();
  ranges.num_iovas = static_cast<std::uint32_t>(spans.size());
  ranges.out_iova_alignment = ioas->alignment();
  UMDEV_TRY(write_sized(caller, argument, asked));
  if (too_few) return fail(EMSGSIZE, "there are more ranges");
  return {};
}

Result<> ioas_allow_iovas(iommu::Iommufd& iommufd, Caller& caller, UserAddress argument) {
  constexpr std::uint32_t spans_max = 4096;
  const auto asked = UMDEV_TRY(read_sized<abi::IommuIoasAllowIovas>(caller, argument));
  if (asked.value.reserved != 0) return fail(EOPNOTSUPP, "a reserved field is set");
  const auto ioas = UMDEV_TRY(iommufd.ioas(asked.value.ioas_id));
  if (asked.value.num_iovas > spans_max) return fail(ENOMEM, "too many spans");
  std::vector<iommu::IovaSpan> spans;
  for (std::uint32_t i = 0; i < asked.value.num_iovas; ++i) {
    const auto range = UMDEV_TRY(
        read_value<abi::IommuIovaRange>(caller, asked.value.allowed_iovas + i * sizeof(abi::IommuIovaRange)));
    spans.push_back({.start = range.start, .last = range.last});
  }
  return ioas->allow(std::move(spans));
}

void ioas_unmap(iommu::Iommufd& iommufd, std::shared_ptr<Caller> caller, UserAddress argument,
                Done<Answer> done) {
  struct Unmapping {
    std::shared_ptr<iommu::Ioas> ioas;
    std::shared_ptr<Caller> caller;
    UserAddress argument;
    Sized<abi::IommuIoasUnmap> asked;
    Done<Answer> done;
  };
  const auto asked = read_sized<abi::IommuIoasUnmap>(*caller, argument);
  if (!asked) return done(std::unexpected(asked.error()));
  auto ioas = iommufd.ioas(asked->value.ioas_id);
  if (!ioas) return done(std::unexpected(ioas.error()));
  auto unmapping =
      std::make_shared<Unmapping>(std::move(*ioas), std::move(caller), argument, *asked, std::move(done));
  unmapping->ioas->unmap(asked->value.iova, asked->value.length, [unmapping](Result<std::uint64_t> bytes) {
    if (!bytes) return unmapping->done(std::unexpected(bytes.error()));
    unmapping->asked.value.length = *bytes;
    unmapping->done(success(write_sized(*unmapping->caller, unmapping->argument, unmapping->asked)));
  });
}

}  // namespace umdev::ioctl
