#include "tests/simulation/random_client.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/types.h"
#include "umdev/os/memfd.h"
#include "umdev/support/assert.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::simulation {

namespace {

using iommu::page_size;
using test::BusyRegions;
using test::SentDescriptor;

class Builder {
 public:
  Builder(std::uint16_t id, abi::VfioUserCommand command, std::uint32_t flags = 0)
      : id_(id), command_(command), flags_(flags) {}

  template <typename T>
  Builder& add(const T& head) {
    return add_bytes(bytes_of(head));
  }
  Builder& add_bytes(ConstBytes bytes) {
    payload_.insert(payload_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Builder& attach(int fd, const SentDescriptor& what) {
    message_.fds.push_back(os::duplicate(fd).value());
    message_.descriptors.push_back(what);
    return *this;
  }
  Message take() {
    const auto header = vfio_user::make_command(id_, command_, payload_.size(), flags_);
    const ConstBytes bytes = bytes_of(header);
    message_.bytes.assign(bytes.begin(), bytes.end());
    message_.bytes.insert(message_.bytes.end(), payload_.begin(), payload_.end());
    return std::move(message_);
  }

 private:
  const std::uint16_t id_;
  const abi::VfioUserCommand command_;
  const std::uint32_t flags_;
  std::vector<std::byte> payload_;
  Message message_;
};

// A page among the first 64 of the address space, so that clients meet their own mappings.
iommu::Iova some_iova(Random& random) {
  return below(random, 64) * page_size;
}

Message make_map(Random& random, std::uint16_t id, const ClientFiles& files) {
  abi::VfioUserDmaMap map{.argsz = sizeof map,
                          .flags = 1 + static_cast<std::uint32_t>(below(random, 3)),
                          .offset = 0,
                          .iova = some_iova(random),
                          .size = (1 + below(random, 8)) * page_size};
  Builder builder(id, abi::vfio_user_dma_map);
  const std::uint64_t file = below(random, ClientFiles::count + 1);
  if (chance(random, 3)) map.size += 1;
  if (file == ClientFiles::count) return builder.add(map).take();
  map.offset = below(random, 12) * page_size;
  builder.attach(files.fd(file), {.kind = SentDescriptor::Kind::memory_file,
                                  .file = static_cast<std::uint32_t>(file),
                                  .pages = files.pages(file)});
  return builder.add(map).take();
}

Message make_unmap(Random& random, std::uint16_t id, const test::ClientModel& model) {
  abi::VfioUserDmaUnmap unmap{.argsz = sizeof unmap, .flags = 0, .iova = 0, .size = 0};
  const auto& mappings = model.mappings();
  if (chance(random, 10)) {
    unmap.flags = abi::vfio_dma_unmap_flag_all;
  } else if (!mappings.empty() && chance(random, 70)) {
    const auto& one = mappings[below(random, mappings.size())];
    unmap.iova = one.iova;
    unmap.size = one.size;
  } else {
    unmap.iova = some_iova(random);
    unmap.size = (1 + below(random, 16)) * page_size;
  }
  return Builder(id, abi::vfio_user_dma_unmap).add(unmap).take();
}

Message make_access(Random& random, std::uint16_t id) {
  const bool is_write = chance(random, 60);
  const std::uint32_t posted = is_write && chance(random, 40) ? abi::vfio_user_flags_no_reply : 0;
  abi::VfioUserRegionAccess access{
      .offset = below(random, 250), .region = BusyRegions::registers, .count = 0};
  access.count = static_cast<std::uint32_t>(below(random, 12));
  if (chance(random, 10)) access.region = static_cast<std::uint32_t>(below(random, BusyRegions::count + 1));
  if (access.region == BusyRegions::doorbell) access.region = BusyRegions::registers;
  Builder builder(id, is_write ? abi::vfio_user_region_write : abi::vfio_user_region_read, posted);
  builder.add(access);
  for (std::uint32_t at = 0; is_write && at < access.count; ++at)
    builder.add(static_cast<std::uint8_t>(random()));
  return builder.take();
}

Message make_write_multi(Random& random, std::uint16_t id) {
  const std::uint64_t count = below(random, 8);
  Builder builder(id, abi::vfio_user_region_write_multi);
  builder.add(count);
  for (std::uint64_t at = 0; at < count; ++at) {
    abi::VfioUserWriteEntry entry{};
    entry.offset = below(random, 256);
    entry.region = chance(random, 95) ? BusyRegions::registers : BusyRegions::broken;
    entry.count = static_cast<std::uint32_t>(below(random, 9));
    entry.data[0] = static_cast<std::uint8_t>(random());
    builder.add(entry);
  }
  return builder.take();
}

Message make_irqs(Random& random, std::uint16_t id, const ClientFiles& files) {
  abi::VfioUserIrqSet set{.argsz = sizeof set,
                          .flags = abi::vfio_irq_set_action_trigger | abi::vfio_irq_set_data_none,
                          .index = abi::vfio_pci_msix_irq_index,
                          .start = 0,
                          .count = 0};
  Builder builder(id, abi::vfio_user_device_set_irqs);
  if (chance(random, 30)) return builder.add(set).take();
  set.flags = abi::vfio_irq_set_action_trigger | abi::vfio_irq_set_data_eventfd;
  set.count = 1 + static_cast<std::uint32_t>(below(random, 4));
  // A memory file is no eventfd: that is refused.
  const bool good = chance(random, 90);
  for (std::uint32_t at = 0; !good && at < set.count; ++at) builder.attach(files.fd(0), {});
  return builder.add(set).take();
}

Message make_info(Random& random, std::uint16_t id) {
  abi::VfioUserRegionInfo region{};
  region.argsz = sizeof region;
  region.index = static_cast<std::uint32_t>(below(random, BusyRegions::count + 1));
  if (chance(random, 50)) return Builder(id, abi::vfio_user_device_get_region_info).add(region).take();
  abi::VfioUserDeviceInfo info{};
  info.argsz = sizeof info;
  return Builder(id, abi::vfio_user_device_get_info).add(info).take();
}

}  // namespace

ClientFiles::ClientFiles() {
  for (std::size_t file = 0; file < count; ++file) {
    files_.push_back(os::create_memfd("client", pages_usual * page_size, os::MemfdSize::changeable).value());
    for (std::uint64_t page = 0; page < pages_usual; ++page) {
      std::array<std::uint64_t, 64> words{};
      words.fill(file << 32 | page);
      UMDEV_ASSERT(::pwrite(fd(file), words.data(), sizeof words, static_cast<off_t>(page * page_size)) ==
                       sizeof words,
                   "a memory file cannot be written");
    }
  }
}

void ClientFiles::resize(std::size_t file, std::uint64_t pages) {
  UMDEV_ASSERT(::ftruncate(fd(file), static_cast<off_t>(pages * page_size)) == 0,
               "a memory file cannot be resized");
  if (pages < pages_.at(file)) whole_.at(file) = false;
  pages_.at(file) = pages;
}

Message make_version(Random& random, std::uint16_t id) {
  constexpr std::array<std::string_view, 3> texts{
      "{}", R"({"capabilities":{"write_multiple":true}})",
      R"({"capabilities":{"write_multiple":true,"twin_socket":{"supported":true}}})"};
  const std::string_view text = texts.at(below(random, texts.size()));
  return Builder(id, abi::vfio_user_version)
      .add(abi::VfioUserVersion{.major_number = 0, .minor_number = 0})
      .add_bytes(std::as_bytes(std::span(text.data(), text.size())))
      .add(std::uint8_t{0})
      .take();
}

Message make_doorbell(std::uint16_t id, const test::Doorbell& doorbell) {
  return Builder(id, abi::vfio_user_region_write)
      .add(abi::VfioUserRegionAccess{.offset = 0, .region = BusyRegions::doorbell, .count = sizeof doorbell})
      .add(doorbell)
      .take();
}

Message make_command(Random& random, std::uint16_t id, const ClientFiles& files, test::ClientModel& model) {
  switch (below(random, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return make_map(random, id, files);
    case 4:
    case 5:
      return make_unmap(random, id, model);
    case 6:
      return make_info(random, id);
    case 7:
      return make_irqs(random, id, files);
    case 8:
    case 9:
      return make_write_multi(random, id);
    case 10:
      return Builder(id, abi::vfio_user_device_reset).take();
    case 11:
    case 12:
      return make_doorbell(id, {.iova = some_iova(random) + below(random, page_size),
                                .size = 1 + static_cast<std::uint32_t>(below(random, 3 * page_size)),
                                .action = static_cast<std::uint32_t>(below(random, test::Doorbell::raise))});
    case 13:
      return Builder(id, static_cast<abi::VfioUserCommand>(below(random, 30))).take();
    default:
      return make_access(random, id);
  }
}

}  // namespace umdev::simulation
