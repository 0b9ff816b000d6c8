#include "umdev/kernel/device_answers.h"

#include <linux/vfio.h>

#include <cstring>
#include <memory>

#include "include/umdev/kernel/umdev/info_cap.h"
#include "umdev/kernel/services.h"
#include "umdev/kernel/vfio_record.h"

namespace umdev::kernel {
namespace {

// A driver of the kernel cannot have more (VFIO_PCI_NUM_REGIONS is 9): more is nonsense, and would be memory.
constexpr std::uint32_t regions_max = 1024;
constexpr std::uint32_t irqs_max = 1024;
constexpr std::uint32_t region_info_max = 64 << 10;

template <typename Structure>
Bytes bytes_of(Structure& structure) {
  return {reinterpret_cast<std::byte*>(&structure), sizeof(structure)};
}

// The chain that begins at `offset`; offsets count from the begin of `bytes`.
Result<vfio::CapabilityChain> read_chain(ConstBytes bytes, std::size_t offset) {
  vfio::CapabilityChain chain;
  ::vfio_info_cap_header header;
  do {
    const std::size_t begin = offset + sizeof(header);
    if (begin > bytes.size()) return fail(EIO, "the module's capability chain is broken");
    std::memcpy(&header, bytes.data() + offset, sizeof(header));
    const std::size_t end = header.next != 0 ? header.next : bytes.size();
    if (end < begin || end > bytes.size()) return fail(EIO, "the module's capability chain is broken");
    UMDEV_TRY(chain.add(header.id, header.version, bytes.subspan(begin, end - begin)));
    offset = header.next;
  } while (offset != 0);
  return chain;
}

vfio::RegionInfo region_of(const ::vfio_region_info& info) {
  return {.flags = info.flags & ~std::uint32_t{VFIO_REGION_INFO_FLAG_CAPS},
          .size = info.size,
          .offset = info.offset,
          .capabilities = {}};
}

struct Free {
  void operator()(::vfio_info_cap_header* buffer) const { release(buffer); }
};
using CapsBuffer = std::unique_ptr<::vfio_info_cap_header, Free>;

bool answers_for_regions(const DeviceOps* form) {
  return form != nullptr && form->ops.get_region_info_caps != nullptr;
}

// 7.x: the driver fills the structure and builds the chain, and the core does the rest.
Result<vfio::RegionInfo> ask_for_caps(const DeviceOps& form, std::uint32_t index) {
  ::vfio_region_info info = {.argsz = sizeof(::vfio_region_info), .index = index};
  ::vfio_info_cap caps = {};
  const int answer = form.ops.get_region_info_caps(form.self, &info, &caps);
  const CapsBuffer owned(caps.buf);
  if (answer < 0) return fail(-answer, "the module's get_region_info_caps failed");
  vfio::RegionInfo region = region_of(info);
  if (caps.size > 0)
    region.capabilities = UMDEV_TRY(read_chain({reinterpret_cast<const std::byte*>(caps.buf), caps.size}, 0));
  return region;
}

Result<vfio::RegionInfo> ask_region(VfioRecord& record, Call& call, std::uint32_t index) {
  if (const DeviceOps* const form = record.device_ops(); answers_for_regions(form))
    return ask_for_caps(*form, index);
  // As users do: without room for capabilities, and again with as much as the driver then says.
  std::vector<std::byte> buffer(sizeof(::vfio_region_info));
  auto ask = [&]() -> Result<long> {
    const ::vfio_region_info question{.argsz = static_cast<std::uint32_t>(buffer.size()), .index = index};
    std::memcpy(buffer.data(), &question, sizeof(question));
    return call_ioctl(record, call, VFIO_DEVICE_GET_REGION_INFO, buffer);
  };
  UMDEV_TRY(ask());
  const std::uint32_t wanted = reinterpret_cast<const ::vfio_region_info*>(buffer.data())->argsz;
  if (wanted > buffer.size() && wanted <= region_info_max) {
    buffer.resize(wanted);
    UMDEV_TRY(ask());
  }
  const auto* const info = reinterpret_cast<const ::vfio_region_info*>(buffer.data());
  vfio::RegionInfo region = region_of(*info);
  if ((info->flags & VFIO_REGION_INFO_FLAG_CAPS) == 0 || info->cap_offset < sizeof(*info)) return region;
  const std::size_t size = std::min<std::size_t>(info->argsz, buffer.size());
  region.capabilities = UMDEV_TRY(read_chain(ConstBytes(buffer).first(size), info->cap_offset));
  return region;
}

}  // namespace

Result<long> call_ioctl(VfioRecord& record, Call& call, unsigned command, Bytes argument) {
  if (record.is_retired()) return fail(ENODEV, "the parent has removed the device");
  const UserMemory memory(call, argument);
  const long answer = std::visit(
      [&](const auto& form) {
        if (form.ops.ioctl == nullptr) return long{-EINVAL};
        return form.ops.ioctl(form.self, command, reinterpret_cast<unsigned long>(argument.data()));
      },
      record.callbacks());
  if (answer < 0) return fail(static_cast<int>(-answer), "the module's ioctl failed");
  return answer;
}

Result<long> ask_command(VfioRecord& record, Call& call, unsigned command, Bytes argument) {
  const DeviceOps* const form = record.device_ops();
  if (command != VFIO_DEVICE_GET_REGION_INFO || !answers_for_regions(form))
    return call_ioctl(record, call, command, argument);
  if (record.is_retired()) return fail(ENODEV, "the parent has removed the device");
  ::vfio_region_info info = {};
  if (argument.size() < sizeof(info)) return fail(EINVAL, "the structure is too short");
  std::memcpy(&info, argument.data(), sizeof(info));
  const vfio::RegionInfo region = UMDEV_TRY(ask_for_caps(*form, info.index));
  info.flags = region.flags;
  info.cap_offset = 0;
  info.size = region.size;
  info.offset = region.offset;
  std::memcpy(argument.data(), &info, sizeof(info));
  return 0;
}

Result<DeviceAnswers> ask_device(VfioRecord& record, Call& call) {
  ::vfio_device_info info = {};
  info.argsz = sizeof(info);
  UMDEV_TRY(call_ioctl(record, call, VFIO_DEVICE_GET_INFO, bytes_of(info)));
  DeviceAnswers answers{
      .flags = info.flags & ~std::uint32_t{VFIO_DEVICE_FLAGS_CAPS}, .regions = {}, .irqs = {}};
  if (info.num_regions > regions_max || info.num_irqs > irqs_max)
    return fail(EIO, "the module's device has too many regions or interrupts");
  for (std::uint32_t index = 0; index < info.num_regions; ++index)
    answers.regions.push_back(ask_region(record, call, index));
  for (std::uint32_t index = 0; index < info.num_irqs; ++index) {
    ::vfio_irq_info irq = {};
    irq.argsz = sizeof(irq);
    irq.index = index;
    // One that the driver does not know is one that it does not implement.
    const bool known = call_ioctl(record, call, VFIO_DEVICE_GET_IRQ_INFO, bytes_of(irq)).has_value();
    answers.irqs.push_back(known ? vfio::IrqInfo{.flags = irq.flags, .count = irq.count} : vfio::IrqInfo{});
  }
  return answers;
}

}  // namespace umdev::kernel
