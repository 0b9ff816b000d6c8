#include "tests/support/vfio_user/client_model.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <span>
#include <string_view>

#include "umdev/abi/vfio.h"

namespace umdev::test {

namespace {

constexpr std::uint64_t host_page = 4096;

bool is_reply(const abi::VfioUserHeader& header) {
  return (header.flags & abi::vfio_user_flags_type_mask) == abi::vfio_user_flags_type_reply;
}
bool wants_reply(const abi::VfioUserHeader& header) {
  return (header.flags & abi::vfio_user_flags_no_reply) == 0;
}

[[noreturn]] void violated(const std::string& what, const abi::VfioUserHeader& header) {
  test::violated(what + " (command " + std::to_string(header.command) + ", id " +
                 std::to_string(header.message_id) + ")");
}

// The number behind a name in the JSON text of VERSION.
std::uint64_t number_of(std::string_view text, std::string_view name, std::uint64_t otherwise) {
  const std::size_t found = text.find(name);
  if (found == std::string_view::npos) return otherwise;
  return std::strtoull(text.data() + found + name.size(), nullptr, 10);
}

bool overlap(std::uint64_t first, std::uint64_t first_size, std::uint64_t second, std::uint64_t second_size) {
  return first <= second + (second_size - 1) && second <= first + (first_size - 1);
}

bool wraps(std::uint64_t start, std::uint64_t size) {
  return size != 0 && size - 1 > UINT64_MAX - start;
}

bool contains(std::span<const int> errors, int error) {
  return std::ranges::find(errors, error) != errors.end();
}

bool takes_descriptors(std::uint16_t command) {
  return command == abi::vfio_user_dma_map || command == abi::vfio_user_device_set_irqs;
}

}  // namespace

void violated(const std::string& what) {
  throw ModelViolation(what);  // house-rules: allow throw: it ends an input or a seed wherever it is found
}

// --- What goes and comes.

void ClientModel::sent(ConstBytes message, std::vector<SentDescriptor> descriptors) {
  Request request{.header = *load_struct<abi::VfioUserHeader>(message),
                  .payload = {},
                  .descriptors = std::move(descriptors)};
  if (is_reply(request.header)) return;
  const ConstBytes payload = message.subspan(sizeof request.header);
  request.payload.assign(payload.begin(), payload.end());
  requests_.push_back(std::move(request));
}

bool ClientModel::received(ConstBytes message, std::size_t descriptors) {
  const auto header = *load_struct<abi::VfioUserHeader>(message);
  if (header.size != message.size()) violated("a message of another size than it says", header);
  if (!is_reply(header)) return false;
  while (!requests_.empty() && !wants_reply(requests_.front().header)) {
    apply_posted(requests_.front());
    requests_.pop_front();
  }
  if (requests_.empty()) violated("an answer that nobody asked for", header);
  const Request request = std::move(requests_.front());
  requests_.pop_front();
  if (header.message_id != request.header.message_id || header.command != request.header.command)
    violated("an answer out of order: expected id " + std::to_string(request.header.message_id), header);
  check_answer(request, judge(request), header);
  ++answers_;
  if ((header.flags & abi::vfio_user_flags_error) == 0) {
    if (header.command < successes_.size()) ++successes_.at(header.command);
    apply(request, message.subspan(sizeof header));
    return true;
  }
  if (message.size() != sizeof header || descriptors != 0)
    violated("an error answer with more than a header", header);
  if (header.command == abi::vfio_user_version && !open_) refused_ = true;
  // A write that failed late may have been done in part.
  if (disturbed_) forget_registers();
  return true;
}

void ClientModel::check_answer(const Request& request, const Verdict& verdict,
                               const abi::VfioUserHeader& answer) const {
  const bool failed = (answer.flags & abi::vfio_user_flags_error) != 0;
  const auto error = static_cast<int>(answer.error);
  if (failed && (error <= 0 || error > 4095)) violated("an error that is none", answer);
  if (!failed && error != 0) violated("an error in an answer of success", answer);
  constexpr std::array shortages{EMFILE, ENFILE, ENOMEM, ENOSPC, ENOBUFS, EAGAIN};
  if (failed && shortage_ && contains(shortages, error)) return;
  if (!failed && !verdict.errors.empty())
    violated("success where the rules want " + std::to_string(verdict.errors.front()), answer);
  if (!failed || verdict.unsure || contains(verdict.errors, error)) return;
  std::string wanted = verdict.errors.empty() ? "success" : "another error";
  violated("error " + std::to_string(error) + " where the rules want " + wanted + " (payload of " +
               std::to_string(request.payload.size()) + ")",
           answer);
}

void ClientModel::disturb_device() {
  disturbed_ = true;
  forget_registers();
}

void ClientModel::settle() {
  while (!requests_.empty()) {
    if (wants_reply(requests_.front().header)) violated("no answer", requests_.front().header);
    apply_posted(requests_.front());
    requests_.pop_front();
  }
}

std::size_t ClientModel::waiting() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(requests_, [](const Request& request) { return wants_reply(request.header); }));
}

std::optional<std::size_t> ClientModel::mapping_count() const {
  return mappings_known_ ? std::optional(mappings_.size()) : std::nullopt;
}

// --- The rules.

ClientModel::Verdict ClientModel::judge(const Request& request) const {
  Verdict verdict;
  if (lost_) {
    verdict.unsure = true;
    return verdict;
  }
  const std::uint16_t command = request.header.command;
  const bool is_command =
      (request.header.flags & abi::vfio_user_flags_type_mask) == abi::vfio_user_flags_type_command;
  verdict.refuse_if(!is_command, EINVAL);
  verdict.refuse_if(!request.descriptors.empty() && !takes_descriptors(command), EINVAL);
  verdict.refuse_if(request.descriptors.size() > 16, EINVAL);
  verdict.refuse_if(!spoken_ && command != abi::vfio_user_version, EINVAL);
  if (!verdict.errors.empty()) return verdict;
  verdict.unsure = disturbed_ && command != abi::vfio_user_dma_map && command != abi::vfio_user_dma_unmap;
  switch (command) {
    case abi::vfio_user_version:
      verdict.refuse_if(spoken_, EINVAL);
      verdict.unsure |= !spoken_;
      break;
    case abi::vfio_user_dma_map:
      judge_map(request, verdict);
      break;
    case abi::vfio_user_dma_unmap:
      judge_unmap(request, verdict);
      break;
    case abi::vfio_user_device_get_info:
    case abi::vfio_user_device_get_region_info:
    case abi::vfio_user_device_get_irq_info:
      judge_info(request, verdict);
      break;
    case abi::vfio_user_region_read:
    case abi::vfio_user_region_write:
      judge_access(request, verdict);
      break;
    case abi::vfio_user_region_write_multi:
      judge_write_multi(request, verdict);
      break;
    case abi::vfio_user_device_reset:
      break;
    case abi::vfio_user_device_set_irqs:
    case abi::vfio_user_device_get_region_io_fds:
    case abi::vfio_user_device_feature:
    case abi::vfio_user_mig_data_read:
    case abi::vfio_user_mig_data_write:
      verdict.unsure = true;
      break;
    default:
      verdict.errors.push_back(ENOTTY);
  }
  return verdict;
}

void ClientModel::judge_map(const Request& request, Verdict& verdict) const {
  const auto map = load_struct<abi::VfioUserDmaMap>(request.payload);
  verdict.refuse_if(!map || map->argsz < sizeof *map, EINVAL);
  if (!map) return;
  constexpr std::uint32_t access = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
  verdict.refuse_if((map->flags & ~access) != 0 || (map->flags & access) == 0, EINVAL);
  verdict.refuse_if(((map->iova | map->size) & (page_size_ - 1)) != 0 || map->size == 0, EINVAL);
  verdict.refuse_if(wraps(map->iova, map->size), EOVERFLOW);
  verdict.refuse_if(request.descriptors.size() > 1, EINVAL);
  if (!mappings_known_) {
    verdict.unsure = true;
    return;
  }
  verdict.refuse_if(mappings_.size() >= maps_max_, ENOSPC);
  if (map->size != 0 && !wraps(map->iova, map->size))
    for (const Mapping& there : mappings_)
      verdict.refuse_if(overlap(there.iova, there.size, map->iova, map->size), EEXIST);
  if (request.descriptors.size() != 1) return;
  const SentDescriptor& descriptor = request.descriptors[0];
  verdict.refuse_if(map->offset % host_page != 0, EINVAL);
  verdict.refuse_if(wraps(map->offset, map->size), EOVERFLOW);
  if (descriptor.kind != SentDescriptor::Kind::memory_file) {
    verdict.errors.push_back(ENODEV);
    return;
  }
  if ((map->flags & abi::vfio_dma_map_flag_write) != 0 && !descriptor.writable) verdict.unsure = true;
  // A file that shrank may have mappings that see less than it has now.
  if (files_known_)
    verdict.refuse_if(!range_fits(map->offset, map->size, descriptor.pages * host_page), EINVAL);
  else
    verdict.unsure = true;
}

void ClientModel::judge_unmap(const Request& request, Verdict& verdict) const {
  const auto unmap = load_struct<abi::VfioUserDmaUnmap>(request.payload);
  verdict.refuse_if(!unmap || unmap->argsz < sizeof *unmap, EINVAL);
  if (!unmap) return;
  const bool all = (unmap->flags & abi::vfio_dma_unmap_flag_all) != 0;
  const bool bitmap = (unmap->flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) != 0;
  constexpr std::uint32_t known = abi::vfio_dma_unmap_flag_all | abi::vfio_dma_unmap_flag_get_dirty_bitmap;
  verdict.refuse_if((unmap->flags & ~known) != 0, EINVAL);
  verdict.refuse_if(all && bitmap, EINVAL);
  verdict.unsure |= bitmap || !mappings_known_;
  if (all) {
    verdict.refuse_if(unmap->iova != 0 || unmap->size != 0, EINVAL);
    return;
  }
  verdict.refuse_if(unmap->iova % host_page != 0 || unmap->size % host_page != 0 || unmap->size == 0, EINVAL);
  verdict.refuse_if(wraps(unmap->iova, unmap->size), EOVERFLOW);
  if (!verdict.errors.empty() || !mappings_known_) return;
  // A mapping that the start or the end would cut.
  const std::uint64_t last = unmap->iova + (unmap->size - 1);
  for (const Mapping& there : mappings_) {
    const std::uint64_t there_last = there.iova + (there.size - 1);
    verdict.refuse_if(there.iova < unmap->iova && there_last >= unmap->iova, EINVAL);
    verdict.refuse_if(there.iova <= last && there_last > last, EINVAL);
  }
}

void ClientModel::judge_info(const Request& request, Verdict& verdict) const {
  const std::uint16_t command = request.header.command;
  const bool is_region = command == abi::vfio_user_device_get_region_info;
  const std::size_t size = is_region ? sizeof(abi::VfioUserRegionInfo) : sizeof(abi::VfioUserIrqInfo);
  const auto argsz = load_le<std::uint32_t>(request.payload, 0);
  verdict.refuse_if(request.payload.size() < size || !argsz || *argsz < size, EINVAL);
  const auto index = load_le<std::uint32_t>(request.payload, 8);
  if (command == abi::vfio_user_device_get_info || !index) return;
  verdict.refuse_if(*index >= (is_region ? BusyRegions::count : abi::vfio_pci_num_irqs), EINVAL);
}

void ClientModel::judge_access_range(std::uint32_t region, std::uint64_t offset, std::uint64_t count,
                                     bool is_write, Verdict& verdict) const {
  constexpr std::array<std::uint64_t, BusyRegions::count> sizes{
      BusyDeviceState::registers_size, sizeof(Doorbell), BusyDeviceState::memory_size, 16, 0, 8};
  verdict.refuse_if(region >= sizes.size() || region == BusyRegions::missing, EINVAL);
  if (region >= sizes.size()) return;
  verdict.refuse_if(!range_fits(offset, count, sizes.at(region)), EINVAL);
  verdict.refuse_if(is_write && region == BusyRegions::identity, EINVAL);
  if (region == BusyRegions::broken && count != 0) verdict.unsure = true;
}

void ClientModel::judge_access(const Request& request, Verdict& verdict) const {
  const auto access = load_struct<abi::VfioUserRegionAccess>(request.payload);
  verdict.refuse_if(!access, EINVAL);
  if (!access) return;
  const bool is_write = request.header.command == abi::vfio_user_region_write;
  verdict.refuse_if(access->count > data_max_, E2BIG);
  verdict.refuse_if(is_write && request.payload.size() - sizeof *access != access->count, EINVAL);
  judge_access_range(access->region, access->offset, access->count, is_write, verdict);
}

// Only what is wrong with the message, or with its first write: those before a bad one are done.
void ClientModel::judge_write_multi(const Request& request, Verdict& verdict) const {
  constexpr std::uint64_t writes_max = 1024;
  const auto count = load_le<std::uint64_t>(request.payload, 0);
  verdict.refuse_if(!write_multiple_, ENOTTY);
  verdict.refuse_if(!count, EINVAL);
  if (!count) return;
  verdict.refuse_if(*count > writes_max, E2BIG);
  const std::uint64_t bytes = request.payload.size() - sizeof *count;
  verdict.refuse_if(*count > writes_max || bytes != *count * sizeof(abi::VfioUserWriteEntry), EINVAL);
  if (!verdict.errors.empty() || *count == 0) return;
  const auto first = *load_struct<abi::VfioUserWriteEntry>(request.payload, sizeof *count);
  verdict.refuse_if(first.count > abi::vfio_user_write_entry_data, EINVAL);
  judge_access_range(first.region, first.offset, first.count, /*is_write=*/true, verdict);
}

// --- What becomes of it.

void ClientModel::apply(const Request& request, ConstBytes answer) {
  switch (request.header.command) {
    case abi::vfio_user_version:
      return apply_version(answer);
    case abi::vfio_user_dma_map: {
      const auto map = *load_struct<abi::VfioUserDmaMap>(request.payload);
      Mapping mapping{
          .iova = map.iova, .size = map.size, .flags = map.flags, .file = {}, .offset = map.offset};
      if (!request.descriptors.empty()) mapping.file = request.descriptors[0].file;
      mappings_.push_back(mapping);
      return;
    }
    case abi::vfio_user_dma_unmap:
      return apply_unmap(request, answer);
    case abi::vfio_user_region_read:
      return check_read(request, answer);
    case abi::vfio_user_region_write:
    case abi::vfio_user_region_write_multi:
      return apply_writes(request, answer);
    case abi::vfio_user_device_reset:
      if (!disturbed_) registers_.fill(std::byte{0});
      return;
    // Migration's data may be anything.
    case abi::vfio_user_mig_data_write:
    case abi::vfio_user_device_feature:
      return forget_registers();
    default:
      return;
  }
}

void ClientModel::apply_version(ConstBytes answer) {
  const std::string_view text(reinterpret_cast<const char*>(answer.data()), answer.size());
  if (text.size() < 6 || text.back() != '\0') test::violated("VERSION's answer has no text");
  open_ = true;
  spoken_ = true;
  write_multiple_ = text.find("\"write_multiple\":true") != std::string_view::npos;
  data_max_ = number_of(text, "\"max_data_xfer_size\":", data_max_);
  maps_max_ = number_of(text, "\"max_dma_maps\":", maps_max_);
  const std::uint64_t pages = number_of(text, "\"pgsizes\":", page_size_);
  page_size_ = pages & -pages;
  if (!disturbed_) registers_.fill(std::byte{0});
}

void ClientModel::apply_unmap(const Request& request, ConstBytes answer) {
  const auto unmap = *load_struct<abi::VfioUserDmaUnmap>(request.payload);
  const bool all = (unmap.flags & abi::vfio_dma_unmap_flag_all) != 0;
  const std::uint64_t last = unmap.iova + (unmap.size - 1);
  std::uint64_t bytes = 0;
  if (defect_ != Defect::unmap_forgets_nothing)
    std::erase_if(mappings_, [&](const Mapping& there) {
      const bool gone = all || (there.iova >= unmap.iova && there.iova <= last);
      bytes += gone ? there.size : 0;
      return gone;
    });
  if (!mappings_known_ || answer.empty()) return;
  const auto said = load_struct<abi::VfioUserDmaUnmap>(answer);
  if (!said || said->size != bytes)
    violated("unmapped " + (said ? std::to_string(said->size) : "?") + " bytes in place of " +
                 std::to_string(bytes),
             request.header);
}

void ClientModel::check_read(const Request& request, ConstBytes answer) const {
  const auto asked = *load_struct<abi::VfioUserRegionAccess>(request.payload);
  const auto head = load_struct<abi::VfioUserRegionAccess>(answer);
  if (!head || head->region != asked.region || head->offset != asked.offset)
    violated("the answer to a read of something else", request.header);
  const ConstBytes data = answer.subspan(sizeof *head);
  if (data.size() != head->count || head->count > asked.count)
    violated("a read of more or less than it says", request.header);
  if (asked.region == BusyRegions::broken) return;
  if (head->count != asked.count) violated("a short read", request.header);
  for (std::size_t at = 0; at < data.size(); ++at) {
    std::optional<std::byte> wanted;
    if (asked.region == BusyRegions::registers) wanted = registers_.at(asked.offset + at);
    if (asked.region == BusyRegions::identity) wanted = std::byte{0xa5};
    if (wanted && *wanted != data[at])
      violated("byte " + std::to_string(asked.offset + at) + " is " +
                   std::to_string(std::to_integer<int>(data[at])) + ", not " +
                   std::to_string(std::to_integer<int>(*wanted)),
               request.header);
  }
}

void ClientModel::apply_write(std::uint32_t region, std::uint64_t offset, ConstBytes data) {
  if (region != BusyRegions::registers || disturbed_ || defect_ == Defect::write_is_lost) return;
  for (std::size_t at = 0; at < data.size(); ++at) registers_.at(offset + at) = data[at];
}

// `answer` is empty for a posted request.
void ClientModel::apply_writes(const Request& request, ConstBytes answer) {
  if (request.header.command == abi::vfio_user_region_write) {
    const auto access = *load_struct<abi::VfioUserRegionAccess>(request.payload);
    return apply_write(access.region, access.offset, ConstBytes(request.payload).subspan(sizeof access));
  }
  const std::uint64_t count = *load_le<std::uint64_t>(request.payload, 0);
  std::uint64_t done = 0;
  for (; done < count; ++done) {
    const std::size_t at = sizeof count + done * sizeof(abi::VfioUserWriteEntry);
    const auto entry = *load_struct<abi::VfioUserWriteEntry>(request.payload, at);
    Verdict verdict;
    verdict.refuse_if(entry.count > abi::vfio_user_write_entry_data, EINVAL);
    judge_access_range(entry.region, entry.offset, entry.count, /*is_write=*/true, verdict);
    if (!verdict.errors.empty() || verdict.unsure) break;
    const std::size_t data = at + offsetof(abi::VfioUserWriteEntry, data);
    apply_write(entry.region, entry.offset, ConstBytes(request.payload).subspan(data, entry.count));
  }
  if (answer.empty() || disturbed_) return;
  const auto said = load_le<std::uint64_t>(answer, 0);
  if (!said || *said != done)
    violated("another number of writes done than " + std::to_string(done), request.header);
}

// Nobody says what became of it: as the rules say, or unknown where they do not.
void ClientModel::apply_posted(const Request& request) {
  const Verdict verdict = judge(request);
  const std::uint16_t command = request.header.command;
  const bool is_memory = command == abi::vfio_user_dma_map || command == abi::vfio_user_dma_unmap;
  if (command == abi::vfio_user_version && !spoken_) {
    // Nobody says whether the session is open now, nor what was agreed on.
    lost_ = true;
    spoken_ = open_ = true;
    mappings_known_ = false;
    return disturb_device();
  }
  if (!verdict.errors.empty()) return;
  if (verdict.unsure || shortage_) {
    if (is_memory) mappings_known_ = false;
    return forget_registers();
  }
  if (command == abi::vfio_user_region_read) return;
  apply(request, {});
}

}  // namespace umdev::test
