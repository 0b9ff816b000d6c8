#include "umdev/kernel/module_device.h"

#include <linux/vfio.h>

#include <algorithm>
#include <cstring>

#include "umdev/kernel/module.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {
namespace {

// A driver of the kernel cannot have more (VFIO_PCI_NUM_REGIONS is 9): more is nonsense, and would be memory.
constexpr std::uint32_t regions_max = 1024;
constexpr std::uint32_t irqs_max = 1024;
constexpr std::uint32_t region_info_max = 64 << 10;

Result<> to_result(long answer, std::string_view what) {
  if (answer >= 0) return {};
  return fail(static_cast<int>(-answer), what);
}

Result<std::size_t> to_count(ssize_t answer, std::size_t most) {
  if (answer < 0) return fail(static_cast<int>(-answer), "the module's access failed");
  return std::min(static_cast<std::size_t>(answer), most);
}

template <typename Structure>
Bytes bytes_of(Structure& structure) {
  return {reinterpret_cast<std::byte*>(&structure), sizeof(structure)};
}

// A callback is inside the module.
class Inside {
 public:
  Inside(Call& call, VfioRecord& record) : call_(call), record_(record) {
    record_.enter();
    call_.inside = &record_;
    call_.pages = &record_.pages();
  }
  ~Inside() {
    call_.inside = nullptr;
    record_.leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Call& call_;
  VfioRecord& record_;
};

}  // namespace

CallName ModuleDevice::call_name(const char* callback) const {
  return {.module = &record_->module(), .callback = callback, .device = record_->name().c_str()};
}

// --- What the device is.

Result<long> ModuleDevice::call_ioctl(Call& call, unsigned command, Bytes argument) const {
  if (record_->is_retired()) return fail(ENODEV, "the parent has removed the device");
  const UserMemory memory(call, argument);
  const long answer = std::visit(
      [&](const auto& form) {
        if (form.ops.ioctl == nullptr) return long{-EINVAL};
        return form.ops.ioctl(form.self, command, reinterpret_cast<unsigned long>(argument.data()));
      },
      record_->callbacks());
  UMDEV_TRY(to_result(answer, "the module's ioctl failed"));
  return answer;
}

Result<vfio::RegionInfo> ModuleDevice::ask_region(Call& call, std::uint32_t index) const {
  // As users do: without room for capabilities, and again with as much as the driver then says.
  std::vector<std::byte> buffer(sizeof(::vfio_region_info));
  auto ask = [&]() -> Result<long> {
    const ::vfio_region_info question{.argsz = static_cast<std::uint32_t>(buffer.size()), .index = index};
    std::memcpy(buffer.data(), &question, sizeof(question));
    return call_ioctl(call, VFIO_DEVICE_GET_REGION_INFO, buffer);
  };
  UMDEV_TRY(ask());
  const std::uint32_t wanted = reinterpret_cast<const ::vfio_region_info*>(buffer.data())->argsz;
  if (wanted > buffer.size() && wanted <= region_info_max) {
    buffer.resize(wanted);
    UMDEV_TRY(ask());
  }
  const auto* const info = reinterpret_cast<const ::vfio_region_info*>(buffer.data());
  vfio::RegionInfo region{.flags = info->flags & ~std::uint32_t{VFIO_REGION_INFO_FLAG_CAPS},
                          .size = info->size,
                          .offset = info->offset,
                          .capabilities = {}};
  if ((info->flags & VFIO_REGION_INFO_FLAG_CAPS) == 0) return region;
  std::size_t offset = info->cap_offset;
  while (offset >= sizeof(*info) && offset + sizeof(::vfio_info_cap_header) <= buffer.size()) {
    ::vfio_info_cap_header header;
    std::memcpy(&header, buffer.data() + offset, sizeof(header));
    const std::size_t begin = offset + sizeof(header);
    const std::size_t end =
        header.next != 0 ? header.next : std::min<std::size_t>(info->argsz, buffer.size());
    if (end < begin || end > buffer.size()) return fail(EIO, "the module's capability chain is broken");
    UMDEV_TRY(
        region.capabilities.add(header.id, header.version, ConstBytes(buffer).subspan(begin, end - begin)));
    offset = header.next;
  }
  return region;
}

Result<ModuleDevice::Answers> ModuleDevice::learn(Call& call) const {
  ::vfio_device_info info = {};
  info.argsz = sizeof(info);
  UMDEV_TRY(call_ioctl(call, VFIO_DEVICE_GET_INFO, bytes_of(info)));
  Answers answers{.flags = info.flags & ~std::uint32_t{VFIO_DEVICE_FLAGS_CAPS}, .regions = {}, .irqs = {}};
  if (info.num_regions > regions_max || info.num_irqs > irqs_max)
    return fail(EIO, "the module's device has too many regions or interrupts");
  for (std::uint32_t index = 0; index < info.num_regions; ++index)
    answers.regions.push_back(ask_region(call, index));
  for (std::uint32_t index = 0; index < info.num_irqs; ++index) {
    ::vfio_irq_info irq = {};
    irq.argsz = sizeof(irq);
    irq.index = index;
    // One that the driver does not know is one that it does not implement.
    const bool known = call_ioctl(call, VFIO_DEVICE_GET_IRQ_INFO, bytes_of(irq)).has_value();
    answers.irqs.push_back(known ? vfio::IrqInfo{.flags = irq.flags, .count = irq.count} : vfio::IrqInfo{});
  }
  return answers;
}

vfio::DeviceInfo ModuleDevice::info() const {
  Lock lock(mutex_);
  return {.flags = answers_.flags,
          .num_regions = static_cast<std::uint32_t>(answers_.regions.size()),
          .num_irqs = static_cast<std::uint32_t>(answers_.irqs.size()),
          .capabilities = {}};
}

Result<vfio::RegionInfo> ModuleDevice::region_info(std::uint32_t index) const {
  Lock lock(mutex_);
  if (index >= answers_.regions.size()) return fail(EINVAL, "the device has no such region");
  return answers_.regions[index];
}

Result<vfio::IrqInfo> ModuleDevice::irq_info(std::uint32_t index) const {
  Lock lock(mutex_);
  if (index >= answers_.irqs.size()) return fail(EINVAL, "the device has no such interrupt");
  return answers_.irqs[index];
}

// --- Opening and closing.

struct ModuleDevice::OpenTask final : Task {
  OpenTask(ModuleDevice& of, vfio::User& by, Done<> then) : device(of), user(by), done(std::move(then)) {}
  ModuleDevice& device;
  vfio::User& user;
  Done<> done;
  Result<> result;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    result = open(call);
  }
  Result<> open(Call& call) {
    const Callbacks& callbacks = device.record_->callbacks();
    const bool has_open = std::visit([](const auto& form) { return form.ops.open != nullptr; }, callbacks);
    if (!has_open && device.record_->needs_open()) return fail(EINVAL, "the parent has no open");
    if (device.record_->is_retired()) return fail(ENODEV, "the parent has removed the device");
    device.record_->set_user(&user);
    Result<> opened = open_and_learn(call, callbacks);
    if (!opened) device.record_->set_user(nullptr);
    return opened;
  }
  Result<> open_and_learn(Call& call, const Callbacks& callbacks) {
    UMDEV_TRY(to_result(
        std::visit([](const auto& form) { return form.ops.open ? form.ops.open(form.self) : 0; }, callbacks),
        "the module's open failed"));
    auto answers = device.learn(call);
    if (!answers) {
      std::visit(
          [](const auto& form) {
            if (form.ops.close) form.ops.close(form.self);
          },
          callbacks);
      return std::unexpected(answers.error());
    }
    std::vector<std::uint64_t> offsets;
    for (const auto& region : answers->regions) offsets.push_back(region ? region->offset : 0);
    device.region_offsets_ = std::move(offsets);
    device.record_->module().count_open(1);
    Lock lock(device.mutex_);
    device.answers_ = std::move(*answers);
    return {};
  }
  void crashed() override {
    device.record_->set_user(nullptr);
    result = module_crashed();
  }
  void finish() override { done(std::move(result)); }
};

void ModuleDevice::open_device(vfio::User& user, Done<> done) {
  record_->module().world().calls().start(call_name("open_device"), OpenTask(*this, user, std::move(done)));
}

struct ModuleDevice::CloseTask final : Task {
  CloseTask(ModuleDevice& of, Done<> then) : device(of), done(std::move(then)) {}
  ModuleDevice& device;
  Done<> done;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    if (!device.record_->is_retired())
      std::visit(
          [](const auto& form) {
            if (form.ops.close) form.ops.close(form.self);
          },
          device.record_->callbacks());
    device.record_->release_buffers();
    device.forget_user();
  }
  void crashed() override { device.forget_user(); }
  void finish() override { done(); }
};

void ModuleDevice::close_device(vfio::User&, Done<> done) {
  record_->module().world().calls().start(call_name("close_device"), CloseTask(*this, std::move(done)));
}

// --- Accesses.

namespace {

template <typename Form>
ssize_t access(const Form& form, Bytes data, umdev_loff_t* position) {
  if (form.ops.read == nullptr) return -EINVAL;
  return form.ops.read(form.self, reinterpret_cast<char*>(data.data()), data.size(), position);
}

template <typename Form>
ssize_t access(const Form& form, ConstBytes data, umdev_loff_t* position) {
  if (form.ops.write == nullptr) return -EINVAL;
  return form.ops.write(form.self, reinterpret_cast<const char*>(data.data()), data.size(), position);
}

}  // namespace

// A read or a write.
template <typename Request>
struct ModuleDevice::AccessTask final : Task {
  AccessTask(ModuleDevice& of, Request what) : device(of), request(std::move(what)) {}
  ModuleDevice& device;
  Request request;
  ssize_t answer = 0;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    const auto data = request.data();
    const UserMemory memory(call, data);
    auto position = static_cast<umdev_loff_t>(device.region_offsets_[request.region()]) +
                    static_cast<umdev_loff_t>(request.offset());
    answer = std::visit([&](const auto& form) { return access(form, data, &position); },
                        device.record_->callbacks());
  }
  void crashed() override { answer = -EIO; }
  void finish() override { request.complete(to_count(answer, request.data().size())); }
};

void ModuleDevice::read(vfio::ReadRequest request) {
  if (record_->is_retired()) return request.complete(fail(ENODEV, "the parent has removed the device"));
  record_->module().world().calls().start(call_name("read"), AccessTask(*this, std::move(request)));
}

void ModuleDevice::write(vfio::WriteRequest request) {
  if (record_->is_retired()) return request.complete(fail(ENODEV, "the parent has removed the device"));
  record_->module().world().calls().start(call_name("write"), AccessTask(*this, std::move(request)));
}

struct ModuleDevice::ResetTask final : Task {
  ResetTask(ModuleDevice& of, Done<> then) : device(of), done(std::move(then)) {}
  ModuleDevice& device;
  Done<> done;
  Result<> result;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    if (const auto answer = device.call_ioctl(call, VFIO_DEVICE_RESET, {}); !answer)
      result = std::unexpected(answer.error());
  }
  void crashed() override { result = module_crashed(); }
  void finish() override { done(std::move(result)); }
};

void ModuleDevice::reset(vfio::User&, Done<> done) {
  record_->module().world().calls().start(call_name("ioctl RESET"), ResetTask(*this, std::move(done)));
}

// --- What is answered at once.

Result<> ModuleDevice::set_irqs(vfio::User&, vfio::IrqRequest& request) {
  // Owned by the call, which may outlive this.
  struct Message {
    std::vector<std::byte> bytes;
    std::vector<os::UniqueFd> descriptors;
  };
  const bool has_fds = request.data_type() == VFIO_IRQ_SET_DATA_EVENTFD;
  const bool has_bools = request.data_type() == VFIO_IRQ_SET_DATA_BOOL;
  const std::size_t data_size = has_fds     ? request.eventfds.size() * sizeof(std::int32_t)
                                : has_bools ? request.bools.size()
                                            : 0;
  auto message = std::make_shared<Message>();
  message->bytes.resize(sizeof(::vfio_irq_set) + data_size);
  const ::vfio_irq_set header{.argsz = static_cast<std::uint32_t>(message->bytes.size()),
                              .flags = request.flags,
                              .index = request.index,
                              .start = request.start,
                              .count = request.count};
  std::memcpy(message->bytes.data(), &header, sizeof(header));
  std::byte* const data = message->bytes.data() + sizeof(header);
  if (has_bools && data_size > 0) std::memcpy(data, request.bools.data(), data_size);
  if (has_fds) {
    std::byte* at = data;
    for (os::UniqueFd& fd : request.eventfds) {
      const std::int32_t number = fd ? fd.get() : -1;
      std::memcpy(at, &number, sizeof(number));
      at += sizeof(number);
      message->descriptors.push_back(std::move(fd));
    }
  }
  return record_->module().world().calls().ask(
      call_name("ioctl SET_IRQS"), [this, message](Call& call) -> Result<> {
        const Inside inside(call, *record_);
        call.descriptors = message->descriptors;
        UMDEV_TRY(call_ioctl(call, VFIO_DEVICE_SET_IRQS, message->bytes));
        return {};
      });
}

Result<std::vector<vfio::MmapExtent>> ModuleDevice::mmap(vfio::User&, const vfio::MmapRequest& request) {
  const std::uint64_t begin = region_offsets_[request.region] + request.offset;
  using Extents = std::vector<vfio::MmapExtent>;
  auto answer = record_->module().world().calls().ask(
      call_name("mmap"), [this, request, begin](Call& call) -> Result<Extents> {
        const Inside inside(call, *record_);
        VmArea area(begin, request.length, request.writable);
        const int error = std::visit(
            [&](const auto& form) {
              return form.ops.mmap ? form.ops.mmap(form.self, &area.area()) : -EINVAL;
            },
            record_->callbacks());
        UMDEV_TRY(to_result(error, "the module's mmap failed"));
        area.populate();
        hold_pages(area.take_pages());
        return area.extents();
      });
  if (!answer) return answer;
  for (vfio::MmapExtent& extent : *answer) extent.region_offset += request.offset;
  return answer;
}

void ModuleDevice::forget_user() {
  std::vector<::page*> pages;
  {
    Lock lock(mutex_);
    pages = std::exchange(mapped_pages_, {});
  }
  put_pages(pages);
  record_->set_user(nullptr);
  record_->module().count_open(-1);
}

// A mapping keeps its pages until the device is closed; one reference each is enough for all mappings.
void ModuleDevice::hold_pages(std::span<::page* const> pages) {
  std::vector<::page*> known;
  {
    Lock lock(mutex_);
    for (::page* each : pages) {
      const auto place = std::ranges::lower_bound(mapped_pages_, each);
      if (place != mapped_pages_.end() && *place == each)
        known.push_back(each);
      else
        mapped_pages_.insert(place, each);
    }
  }
  put_pages(known);
}

bool ModuleDevice::pins_memory() const {
  return record_->pins_memory();
}

void ModuleDevice::dma_unmap(vfio::User&, iommu::IovaRange range) {
  struct UnmapTask final : Task {
    UnmapTask(std::shared_ptr<VfioRecord> of, iommu::IovaRange what) : record(std::move(of)), range(what) {}
    std::shared_ptr<VfioRecord> record;
    iommu::IovaRange range;
    void run(Call& call) override {
      const Inside inside(call, *record);
      if (!record->is_retired()) record->tell_unmap(range.iova, range.size);
    }
    void finish() override {}
  };
  record_->module().world().calls().start(call_name("dma_unmap"), UnmapTask(record_, range));
}

void ModuleDevice::request(unsigned count) {
  struct RequestTask final : Task {
    RequestTask(std::shared_ptr<VfioRecord> of, unsigned times) : record(std::move(of)), count(times) {}
    std::shared_ptr<VfioRecord> record;
    unsigned count;
    void run(Call& call) override {
      const Inside inside(call, *record);
      const bool has_request =
          std::visit([](const auto& form) { return form.ops.request != nullptr; }, record->callbacks());
      if (has_request && !record->is_retired())
        std::visit([this](const auto& form) { form.ops.request(form.self, count); }, record->callbacks());
      if (!has_request && count <= 1)
        record->module().world().log().info(
            "device " + record->name() +
            ": No mdev vendor driver request callback support, blocked until released by user");
    }
    void finish() override {}
  };
  record_->module().world().calls().start(call_name("request"), RequestTask(record_, count));
}

int ModuleDevice::match(std::string_view registered_name, std::string_view name) const {
  const bool asks =
      std::visit([](const auto& form) { return form.ops.match != nullptr; }, record_->callbacks());
  if (!asks) return Device::match(registered_name, name);
  const auto answer = record_->module().world().calls().ask(
      call_name("match"), [record = record_, text = std::string(name)](Call& call) mutable -> Result<int> {
        const Inside inside(call, *record);
        return std::visit([&](const auto& form) { return form.ops.match(form.self, text.data()); },
                          record->callbacks());
      });
  return answer ? *answer : -answer.error().code;
}

Result<std::uint32_t> ModuleDevice::ioctl(vfio::User&, vfio::IoctlRequest request) {
  auto argument = std::make_shared<std::vector<std::byte>>(request.argument.begin(), request.argument.end());
  const auto answer = record_->module().world().calls().ask(
      call_name("ioctl"), [this, argument, command = request.command](Call& call) -> Result<long> {
        const Inside inside(call, *record_);
        return call_ioctl(call, command, *argument);
      });
  if (!answer) return std::unexpected(answer.error());
  std::ranges::copy(*argument, request.argument.begin());
  return static_cast<std::uint32_t>(*answer);
}

}  // namespace umdev::kernel
