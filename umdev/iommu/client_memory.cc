#include "umdev/iommu/client_memory.h"

#include <algorithm>

#include "umdev/iommu/types.h"

namespace umdev::iommu {
namespace {

bool is_aligned(std::uint64_t value) {
  return value % page_size == 0;
}

std::uint64_t round_up(std::uint64_t size) {
  return (size + page_size - 1) / page_size * page_size;
}

}  // namespace

ClientMemory::ClientMemory(const ClientMemoryLimits& limits, std::shared_ptr<MappingBudget> daemon)
    : limits_(limits),
      budget_(std::make_shared<MappingBudget>(limits.mappings, limits.bytes, std::move(daemon))) {}

Result<ClientMemory::Slice> ClientMemory::share(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size,
                                                bool writable) {
  if (size == 0 || !is_aligned(size) || !is_aligned(offset))
    return fail(EINVAL, "offset or size is not page aligned, or size is 0");
  const ClientFileStatus status = UMDEV_TRY(look_at_client_file(fd.get(), writable));
  const std::uint64_t end = round_up(status.size);  // the file's last page may be a part of one
  const bool fits = range_fits(offset, size, end);

  forget_unused();
  Files& files = files_[status.identity];
  if (auto file = fits ? find(files, offset, size) : nullptr)
    return Slice{.backing = file, .offset = offset - file->fd_offset()};
  const bool sure = UMDEV_TRY(is_sure_to_map(fd.get(), status));
  if (!fits) return fail(EINVAL, "the map reaches beyond the end of the file");
  const bool whole = status.size <= limits_.whole_file;
  const std::uint64_t begin = whole ? 0 : offset;
  const std::uint64_t length = whole ? end : size;
  auto file = UMDEV_TRY(ClientFile::open(
      std::move(fd), {.offset = begin, .size = length, .writable = writable}, sure, budget_));
  files.push_back(file);
  return Slice{.backing = std::move(file), .offset = offset - begin};
}

std::shared_ptr<ClientFile> ClientMemory::find(Files& files, std::uint64_t offset, std::uint64_t size) const {
  std::erase_if(files, [](const std::weak_ptr<ClientFile>& file) { return file.expired(); });
  for (const auto& weak : files)
    if (auto file = weak.lock(); file && file->serves(offset, size)) return file;
  return nullptr;
}

// A client that lends one file after another must not make the table grow.
void ClientMemory::forget_unused() {
  if (files_.size() < forget_at_) return;
  std::erase_if(files_, [](const auto& entry) {
    return std::ranges::all_of(entry.second, [](const auto& file) { return file.expired(); });
  });
  forget_at_ = std::max<std::size_t>(64, files_.size() * 2);
}

}  // namespace umdev::iommu
