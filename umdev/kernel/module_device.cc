#include "umdev/kernel/module_device.h"

#include <linux/vfio.h>

#include <algorithm>
#include <cstring>

#include "umdev/kernel/answer.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {
namespace {

// A feature's structure is a few words; a user may say that it has room for any number.
constexpr std::uint64_t feature_max = 4096;

}  // namespace

CallName ModuleDevice::call_name(const char* callback) const {
  return {.module = &record_->module(), .callback = callback, .device = record_->name().c_str()};
}

// --- What the device is.

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
  void finish() override {
    request.complete(to_count(answer, request.data().size(), "the module's access failed"));
  }
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
    if (const auto answer = call_ioctl(*device.record_, call, VFIO_DEVICE_RESET, {}); !answer)
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
        UMDEV_TRY(call_ioctl(*record_, call, VFIO_DEVICE_SET_IRQS, message->bytes));
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

Result<> ModuleDevice::match_token(const std::optional<Uuid>& token) const {
  const DeviceOps* const form = record_->device_ops();
  if (form == nullptr || form->ops.match_token_uuid == nullptr) return Device::match_token(token);
  return record_->module().world().calls().ask(
      call_name("match_token_uuid"), [record = record_, form, token](Call& call) -> Result<> {
        const Inside inside(call, *record);
        ::umdev_uuid shown = {};
        if (token) std::memcpy(shown.b, token->bytes().data(), sizeof(shown.b));
        return to_result(form->ops.match_token_uuid(form->self, token ? &shown : nullptr),
                         "the module takes another token");
      });
}

Result<std::vector<std::byte>> ModuleDevice::device_feature(vfio::User& user,
                                                            const vfio::FeatureRequest& request) {
  const DeviceOps* const form = record_->device_ops();
  if (form == nullptr || form->ops.device_feature == nullptr) return Device::device_feature(user, request);
  // What stands behind the header, as large as the user has room for it; the call may outlive this.
  auto data = std::make_shared<std::vector<std::byte>>(
      std::max<std::uint64_t>(request.data.size(), std::min(request.room, feature_max)));
  std::ranges::copy(request.data, data->begin());
  const auto answer = record_->module().world().calls().ask(
      call_name("device_feature"),
      [record = record_, form, data, flags = request.flags](Call& call) -> Result<> {
        const Inside inside(call, *record);
        const UserMemory memory(call, Bytes(*data));
        return to_result(form->ops.device_feature(form->self, flags, data->data(), data->size()),
                         "the module's device_feature failed");
      });
  if (!answer) return std::unexpected(answer.error());
  if ((request.flags & VFIO_DEVICE_FEATURE_GET) == 0 || (request.flags & VFIO_DEVICE_FEATURE_PROBE) != 0)
    return std::vector<std::byte>();
  return *data;
}

Result<std::uint32_t> ModuleDevice::ioctl(vfio::User&, vfio::IoctlRequest request) {
  auto argument = std::make_shared<std::vector<std::byte>>(request.argument.begin(), request.argument.end());
  const auto answer = record_->module().world().calls().ask(
      call_name("ioctl"), [this, argument, command = request.command](Call& call) -> Result<long> {
        const Inside inside(call, *record_);
        return ask_command(*record_, call, command, *argument);
      });
  if (!answer) return std::unexpected(answer.error());
  std::ranges::copy(*argument, request.argument.begin());
  return static_cast<std::uint32_t>(*answer);
}

}  // namespace umdev::kernel
