#include "umdev/kernel/iommu_back_end.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/kernel/answer.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/iommu_call.h"
#include "umdev/kernel/iommu_users.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {
namespace {

// enum vfio_group_type.
constexpr int kind_physical = 0;
constexpr int kind_emulated = 1;

using Argument = std::shared_ptr<std::vector<std::byte>>;

template <typename... Structures>
Argument argument_of(const Structures&... structures) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const auto append = [&](const auto& structure) {
    const auto* const begin = reinterpret_cast<const std::byte*>(&structure);
    bytes->insert(bytes->end(), begin, begin + sizeof(structure));
  };
  (append(structures), ...);
  return bytes;
}

template <typename Structure>
Structure structure_in(const std::vector<std::byte>& bytes) {
  Structure structure;
  std::memcpy(&structure, bytes.data(), sizeof(structure));
  return structure;
}

std::uint64_t address_of(Bytes bytes) {
  return reinterpret_cast<std::uintptr_t>(bytes.data());
}

}  // namespace

IommuBackEnd::IommuBackEnd(std::shared_ptr<IommuRegistration> registration)
    : registration_(std::move(registration)), held_(std::make_shared<Held>()) {}

IommuBackEnd::~IommuBackEnd() {
  // Whoever drops the last reference may hold locks.
  if (!held_->is_open.load()) {
    if (!registration_->enter()) return;
    registration_->forget(*this);
    registration_->leave();
    return;
  }
  static_cast<void>(
      ask_elsewhere(registration_, "iommu release",
                    [registration = registration_, held = held_, key = this](Call& call) -> Result<> {
                      call.pages = &held->pages;
                      if (held->is_open.exchange(false)) {
                        registration->ops().release(held->data);
                        put_pages(held->take_mapped());
                        registration->module().count_open(-1);
                      }
                      registration->forget(*key);
                      return {};
                    }));
}

Result<> IommuBackEnd::open(std::uint32_t type) {
  return ask_elsewhere(registration_, "iommu open",
                       [registration = registration_, held = held_, type](Call& call) -> Result<> {
                         call.pages = &held->pages;
                         void* const data = registration->ops().open(type);
                         if (const int error = error_of_pointer(data); error != 0)
                           return fail(error, "the module's open failed");
                         held->data = data;
                         registration->module().count_open(1);
                         held->is_open = true;
                         return {};
                       });
}

// The module is the caller, or its end.
void IommuBackEnd::release_now() {
  if (!held_->is_open.exchange(false)) return;
  Module& module = registration_->module();
  module.call("iommu release", "", [this] { ops().release(held_->data); });
  put_pages(held_->take_mapped());
  module.count_open(-1);
}

// --- What the core asks while the container changes.

int IommuBackEnd::check_extension(std::uint32_t extension) const {
  const auto answer =
      ask_elsewhere<int>(registration_, "iommu ioctl", [self = self(), extension](Call&) -> Result<int> {
        return static_cast<int>(self->ops().ioctl(self->held_->data, abi::vfio_check_extension, extension));
      });
  return answer ? *answer : -answer.error().code;
}

Result<> IommuBackEnd::attach_group(const iommu::GroupAttachment& group) {
  const auto made = std::make_shared<::iommu_group>(nullptr, group.iommu_group);
  const int kind = group.emulated ? kind_emulated : kind_physical;
  UMDEV_TRY(ask_elsewhere(registration_, "attach_group", [self = self(), made, kind](Call& call) -> Result<> {
    call.pages = &self->held_->pages;
    const auto& ops = self->ops();
    return to_result(ops.attach_group(self->registration_->key(), self->held_->data, made.get(), kind),
                     "the module's attach_group failed");
  }));
  Lock lock(mutex_);
  groups_[group.iommu_group] = made;
  return {};
}

void IommuBackEnd::detach_group(const iommu::GroupAttachment& group) {
  const auto known = find_group(group.iommu_group);
  if (!known) return;
  static_cast<void>(
      ask_elsewhere(registration_, "detach_group", [self = self(), known](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        self->ops().detach_group(self->held_->data, known.get());
        return {};
      }));
  Lock lock(mutex_);
  groups_.erase(group.iommu_group);
}

std::shared_ptr<::iommu_group> IommuBackEnd::find_group(std::uint32_t number) const {
  Lock lock(mutex_);
  const auto found = groups_.find(number);
  return found == groups_.end() ? nullptr : found->second;
}

void IommuBackEnd::container_closed() {
  if (ops().notify == nullptr) return;
  constexpr int container_close = 0;
  start_call<void>(
      registration_, "iommu notify", CallPlace::here,
      [self = self()](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        self->ops().notify(self->registration_->key(), self->held_->data, container_close);
        return {};
      },
      [](Result<>) {});
}

Result<::iommu_domain*> IommuBackEnd::domain_of(std::uint32_t group) const {
  if (ops().group_iommu_domain == nullptr) return fail(ENOTTY, "the module's driver has no domains");
  const auto known = find_group(group);
  return ask_here<::iommu_domain*>(registration_, "group_iommu_domain",
                                   [self = self(), known](Call&) -> Result<::iommu_domain*> {
                                     return self->ops().group_iommu_domain(self->held_->data, known.get());
                                   });
}

// --- Commands, as users give them.

void IommuBackEnd::ioctl(std::uint32_t command, std::uint64_t argument,
                         std::shared_ptr<iommu::CallerMemory> memory, Done<std::int32_t> done) {
  start_call<std::int32_t>(
      registration_, "iommu ioctl", CallPlace::here,
      [self = self(), command, argument, memory = std::move(memory)](Call& call) -> Result<std::int32_t> {
        call.pages = &self->held_->pages;
        call.caller = memory.get();
        const long answer = self->ops().ioctl(self->held_->data, command, argument);
        if (answer < 0) return fail(static_cast<int>(-answer), "the module's ioctl failed");
        return static_cast<std::int32_t>(answer);
      },
      std::move(done));
}

void IommuBackEnd::read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner,
                        Done<std::size_t> done) {
  if (ops().read == nullptr) return done(fail(EINVAL, "the module's driver cannot be read"));
  start_call<std::size_t>(
      registration_, "iommu read", CallPlace::here,
      [self = self(), offset, into, owner = std::move(owner)](Call& call) -> Result<std::size_t> {
        call.pages = &self->held_->pages;
        const UserMemory memory(call, into);
        auto position = static_cast<umdev_loff_t>(offset);
        return to_count(
            self->ops().read(self->held_->data, reinterpret_cast<char*>(into.data()), into.size(), &position),
            into.size(), "the module's read failed");
      },
      std::move(done));
}

void IommuBackEnd::write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
                         Done<std::size_t> done) {
  if (ops().write == nullptr) return done(fail(EINVAL, "the module's driver cannot be written"));
  start_call<std::size_t>(
      registration_, "iommu write", CallPlace::here,
      [self = self(), offset, from, owner = std::move(owner)](Call& call) -> Result<std::size_t> {
        call.pages = &self->held_->pages;
        const UserMemory memory(call, from);
        auto position = static_cast<umdev_loff_t>(offset);
        return to_count(self->ops().write(self->held_->data, reinterpret_cast<const char*>(from.data()),
                                          from.size(), &position),
                        from.size(), "the module's write failed");
      },
      std::move(done));
}

Result<std::vector<iommu::ContainerExtent>> IommuBackEnd::mmap(std::uint64_t offset, std::uint64_t length,
                                                               bool writable) {
  using Extents = std::vector<iommu::ContainerExtent>;
  if (ops().mmap == nullptr) return fail(EINVAL, "the module's driver cannot be mapped");
  return ask_here<Extents>(
      registration_, "iommu mmap", [self = self(), offset, length, writable](Call& call) -> Result<Extents> {
        call.pages = &self->held_->pages;
        VmArea area(offset, length, writable);
        UMDEV_TRY(to_result(self->ops().mmap(self->held_->data, &area.area()), "the module's mmap failed"));
        area.populate();
        Extents extents;
        for (const vfio::MmapExtent& each : area.extents())
          extents.push_back({.position = each.region_offset,
                             .fd = each.fd,
                             .fd_offset = each.fd_offset,
                             .length = each.length});
        self->held_->keep_mapped(area.take_pages());
        return extents;
      });
}

// --- Commands, as our own doors give them.

Result<> IommuBackEnd::command(std::uint32_t number, const Argument& argument, Bytes bitmap) const {
  return ask_here(
      registration_, "iommu ioctl", [self = self(), number, argument, bitmap](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        const UserMemory memory(call, Bytes(*argument));
        const UserMemory more(call, bitmap);
        const long answer =
            self->ops().ioctl(self->held_->data, number, reinterpret_cast<std::uintptr_t>(argument->data()));
        return to_result(answer, "the module's ioctl failed");
      });
}

// Capabilities are for whoever asks by ioctl.
Result<iommu::IommuInfo> IommuBackEnd::info() const {
  const auto argument = argument_of(abi::VfioIommuType1Info{.argsz = sizeof(abi::VfioIommuType1Info)});
  UMDEV_TRY(command(abi::vfio_iommu_get_info, argument));
  const auto answer = structure_in<abi::VfioIommuType1Info>(*argument);
  const bool has_sizes = (answer.flags & abi::vfio_iommu_info_pgsizes) != 0;
  return iommu::IommuInfo{.page_sizes = has_sizes ? answer.iova_pgsizes : 0};
}

Result<> IommuBackEnd::map(iommu::MapRequest request) {
  return command(abi::vfio_iommu_map_dma,
                 argument_of(abi::VfioIommuType1DmaMap{.argsz = sizeof(abi::VfioIommuType1DmaMap),
                                                       .flags = request.flags,
                                                       .vaddr = request.vaddr,
                                                       .iova = request.iova,
                                                       .size = request.size}));
}

// May wait for devices, so not as the others.
void IommuBackEnd::unmap(const iommu::UnmapRequest& request, Done<std::uint64_t> done) {
  const bool wants_bitmap = !request.bitmap.empty();
  const abi::VfioIommuType1DmaUnmap unmap{
      .argsz = static_cast<std::uint32_t>(sizeof(abi::VfioIommuType1DmaUnmap) +
                                          (wants_bitmap ? sizeof(abi::VfioBitmap) : 0)),
      .flags = request.flags,
      .iova = request.iova,
      .size = request.size};
  const abi::VfioBitmap bitmap{
      .pgsize = request.bitmap_page_size, .size = request.bitmap.size(), .data = address_of(request.bitmap)};
  const auto argument = wants_bitmap ? argument_of(unmap, bitmap) : argument_of(unmap);
  start_call<std::uint64_t>(
      registration_, "iommu ioctl", CallPlace::here,
      [self = self(), argument, into = request.bitmap](Call& call) -> Result<std::uint64_t> {
        call.pages = &self->held_->pages;
        const UserMemory memory(call, Bytes(*argument));
        const UserMemory more(call, into);
        UMDEV_TRY(to_result(self->ops().ioctl(self->held_->data, abi::vfio_iommu_unmap_dma,
                                              reinterpret_cast<std::uintptr_t>(argument->data())),
                            "the module's ioctl failed"));
        return structure_in<abi::VfioIommuType1DmaUnmap>(*argument).size;
      },
      std::move(done));
}

namespace {

abi::VfioIommuType1DirtyBitmap dirty_pages_command(std::uint32_t flags, std::size_t more = 0) {
  return {.argsz = static_cast<std::uint32_t>(sizeof(abi::VfioIommuType1DirtyBitmap) + more), .flags = flags};
}

}  // namespace

Result<> IommuBackEnd::start_dirty_pages() {
  return command(abi::vfio_iommu_dirty_pages,
                 argument_of(dirty_pages_command(abi::vfio_iommu_dirty_pages_flag_start)));
}

Result<> IommuBackEnd::stop_dirty_pages() {
  return command(abi::vfio_iommu_dirty_pages,
                 argument_of(dirty_pages_command(abi::vfio_iommu_dirty_pages_flag_stop)));
}

Result<> IommuBackEnd::dirty_pages(iommu::IovaRange range, std::uint64_t bitmap_page_size, Bytes bitmap) {
  using Get = abi::VfioIommuType1DirtyBitmapGet;
  const Get get{.iova = range.iova,
                .size = range.size,
                .bitmap = {.pgsize = bitmap_page_size, .size = bitmap.size(), .data = address_of(bitmap)}};
  return command(
      abi::vfio_iommu_dirty_pages,
      argument_of(dirty_pages_command(abi::vfio_iommu_dirty_pages_flag_get_bitmap, sizeof(Get)), get),
      bitmap);
}

}  // namespace umdev::kernel
