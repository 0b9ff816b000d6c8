#include "tests/module/gauge/gauge.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

#include "umdev/mdev/instance.h"
#include "umdev/os/memfd.h"

namespace umdev::gauge {
namespace {

enum Region : std::uint32_t { registers_region, memory_region };
enum Command : std::uint32_t { take = 1, give = 2, ring = 3 };
enum Register : std::uint32_t {
  magic_register = 0x00,
  count_register = 0x04,
  scratch_register = 0x08,
  level_register = 0x0c,
  address_register = 0x10,
  length_register = 0x18,
  command_register = 0x1c,
  status_register = 0x20,
};
constexpr std::uint32_t magic = 0x45475547;
constexpr std::uint64_t registers_size = 0x40;
constexpr std::uint64_t memory_size = 0x1000;
constexpr std::uint32_t level_max = 100;
constexpr std::uint32_t instances = 4;

constexpr std::uint32_t read_write = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
constexpr std::array<vfio::TableRegion, 2> regions{
    {{read_write, registers_size}, {read_write | abi::vfio_region_info_flag_mmap, memory_size}}};
constexpr std::array<vfio::IrqInfo, 1> irqs{{{abi::vfio_irq_info_eventfd, 1}}};
constexpr vfio::DeviceTable table{abi::vfio_device_flags_platform | abi::vfio_device_flags_reset, regions,
                                  irqs};

// A register is accessed whole.
bool is_whole(std::uint64_t at, std::size_t count) {
  const std::size_t size = at == address_register ? sizeof(std::uint64_t) : sizeof(std::uint32_t);
  return count == size && at % sizeof(std::uint32_t) == 0;
}

}  // namespace

Result<std::unique_ptr<Gauge>> Gauge::create(std::shared_ptr<Shown> shown) {
  auto fd = UMDEV_TRY(os::create_memfd("gauge", memory_size));
  auto memory = UMDEV_TRY(os::Mapping::of_fd(fd.get(), 0, memory_size, os::Protection::read_write));
  return std::unique_ptr<Gauge>(new Gauge(std::move(shown), std::move(fd), std::move(memory)));
}

vfio::DeviceInfo Gauge::info() const {
  return table.info();
}

Result<vfio::RegionInfo> Gauge::region_info(std::uint32_t index) const {
  return table.region_info(index);
}

Result<vfio::IrqInfo> Gauge::irq_info(std::uint32_t index) const {
  return table.irq_info(index);
}

void Gauge::clear() {
  Lock lock(mutex_);
  std::ranges::fill(memory_.writable_bytes(), std::byte{0});
  registers_ = {};
  shown_->count = 0;
}

void Gauge::close_device(vfio::User&, Done<> done) {
  clear();
  done();
}

void Gauge::reset(vfio::User&, Done<> done) {
  clear();
  done();
}

Result<std::uint64_t> Gauge::read_register(std::uint64_t at) const {
  switch (at) {
    case magic_register:
      return magic;
    case count_register:
      return shown_->count;
    case scratch_register:
      return registers_.scratch;
    case level_register:
      return shown_->level;
    case address_register:
      return registers_.address;
    case length_register:
      return registers_.length;
    case status_register:
      return registers_.status;
    default:
      return fail(ENXIO, "no such register");
  }
}

Result<> Gauge::write_register(std::uint64_t at, std::uint64_t value) {
  switch (at) {
    case scratch_register:
      registers_.scratch = static_cast<std::uint32_t>(value);
      return {};
    case address_register:
      registers_.address = value;
      return {};
    case length_register:
      registers_.length = static_cast<std::uint32_t>(value);
      return {};
    case magic_register:
    case count_register:
    case level_register:
    case status_register:
      return fail(EPERM, "the register can only be read");
    default:
      return fail(ENXIO, "no such register");
  }
}

void Gauge::read(vfio::ReadRequest request) {
  const Bytes data = request.data();
  const std::uint64_t at = request.offset();
  if (request.region() == memory_region) {
    std::memcpy(data.data(), memory_.bytes().data() + at, data.size());
    return request.complete_all();
  }
  if (!is_whole(at, data.size())) return request.complete(fail(EINVAL, "a register is accessed whole"));
  Result<std::uint64_t> value = 0;
  {
    Lock lock(mutex_);
    value = read_register(at);
  }
  if (!value) return request.complete(std::unexpected(value.error()));
  std::memcpy(data.data(), &*value, data.size());
  request.complete_all();
}

void Gauge::write(vfio::WriteRequest request) {
  const ConstBytes data = request.data();
  const std::uint64_t at = request.offset();
  if (request.region() == memory_region) {
    std::memcpy(memory_.writable_bytes().data() + at, data.data(), data.size());
    return request.complete_all();
  }
  if (!is_whole(at, data.size())) return request.complete(fail(EINVAL, "a register is accessed whole"));
  std::uint64_t value = 0;
  std::memcpy(&value, data.data(), data.size());
  if (at == command_register) return command(std::move(request), static_cast<std::uint32_t>(value));
  Result<> written;
  {
    Lock lock(mutex_);
    written = write_register(at, value);
  }
  if (!written) return request.complete(std::unexpected(written.error()));
  request.complete_all();
}

void Gauge::command(vfio::WriteRequest request, std::uint32_t command) {
  switch (command) {
    case take:
    case give:
      return transfer(std::move(request), command == give);
    case ring:
      request.user().irqs().raise(0);
      return request.complete_all();
    default:
      return request.complete(fail(EINVAL, "no such command"));
  }
}

// The user's memory may be reached by messages alone, and then the answer comes later.
struct Gauge::Transfer {
  Transfer(vfio::WriteRequest from, bool gives) : request(std::move(from)), give(gives) {}
  vfio::WriteRequest request;
  bool give;
  std::vector<std::byte> bytes;
};

void Gauge::transfer(vfio::WriteRequest request, bool give) {
  const auto transfer = std::make_shared<Transfer>(std::move(request), give);
  std::uint64_t address = 0;
  {
    Lock lock(mutex_);
    address = registers_.address;
    transfer->bytes.resize(std::min<std::uint64_t>(registers_.length, memory_size + 1));
    if (give && transfer->bytes.size() <= memory_size)
      std::memcpy(transfer->bytes.data(), memory_.bytes().data(), transfer->bytes.size());
  }
  if (transfer->bytes.size() > memory_size)
    return end_transfer(*transfer, fail(E2BIG, "more than the memory holds"));
  vfio::User& user = transfer->request.user();
  auto done = [this, transfer](Result<> result) { end_transfer(*transfer, std::move(result)); };
  if (give)
    user.dma_write(address, transfer->bytes, std::move(done));
  else
    user.dma_read(address, transfer->bytes, std::move(done));
}

void Gauge::end_transfer(Transfer& transfer, Result<> result) {
  {
    Lock lock(mutex_);
    if (result && !transfer.give)
      std::memcpy(memory_.writable_bytes().data(), transfer.bytes.data(), transfer.bytes.size());
    registers_.status = result ? 0U : static_cast<std::uint32_t>(result.error().code);
    ++shown_->count;
  }
  transfer.request.user().irqs().raise(0);
  transfer.request.complete_all();
}

Result<std::vector<vfio::MmapExtent>> Gauge::mmap(vfio::User&, const vfio::MmapRequest& request) {
  if (request.region != memory_region) return fail(EINVAL, "only the memory can be mapped");
  return std::vector{vfio::MmapExtent{.fd = fd_.get(),
                                      .fd_offset = request.offset,
                                      .region_offset = request.offset,
                                      .length = request.length}};
}

// --- The parent, and what its instances show.

namespace {

Result<std::shared_ptr<Shown>> shown_of(device::Device& device) {
  auto& instance = mdev::Instance::from(device);
  auto shown = static_cast<const GaugeParent&>(instance.mdev_parent().driver()).find(instance.uuid());
  if (!shown) return fail(ENODEV, "the instance is going");
  return shown;
}

Result<std::string> show_level(device::Device& device, const device::DeviceAttribute&) {
  return std::to_string(UMDEV_TRY(shown_of(device))->level) + "\n";
}

Result<std::string> show_count(device::Device& device, const device::DeviceAttribute&) {
  return std::to_string(UMDEV_TRY(shown_of(device))->count) + "\n";
}

Result<> set_level(device::Device& device, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::uint32_t level = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
  if (error == std::errc::result_out_of_range) return fail(ERANGE, "the level is too high");
  if (error != std::errc() || end != text.data() + text.size()) return fail(EINVAL, "a level is a number");
  if (level > level_max) return fail(ERANGE, "the level is too high");
  UMDEV_TRY(shown_of(device))->level = level;
  return {};
}

void store_level(device::Device& device, const device::DeviceAttribute&, std::string_view text,
                 Done<std::size_t> done) {
  if (const auto set = set_level(device, text); !set) return done(std::unexpected(set.error()));
  done(text.size());
}

constexpr device::DeviceAttribute attributes[] = {
    {.name = "level", .mode = 0644, .show = show_level, .store = store_level},
    {.name = "count", .show = show_count}};
constexpr device::AttributeGroup group{.name = "gauge", .attributes = attributes};
constexpr const device::AttributeGroup* groups[] = {&group};

}  // namespace

mdev::ParentSpec GaugeParent::spec() {
  return {.device = {},
          .types = {{.name = "1",
                     .pretty_name = "Gauge",
                     .description = "registers, a page of memory, an interrupt",
                     .device_api = abi::vfio_device_api_platform_string,
                     .cost = {}}},
          .resources = {},
          .max_instances = instances};
}

void GaugeParent::create(const mdev::CreateRequest& request, const mdev::Type&, DeviceHost&,
                         Done<std::unique_ptr<vfio::Device>> done) {
  auto shown = std::make_shared<Shown>();
  auto device = Gauge::create(shown);
  if (!device) return done(std::unexpected(device.error()));
  {
    Lock lock(mutex_);
    std::erase_if(shown_, [](const auto& entry) { return entry.second.expired(); });
    shown_[request.uuid] = shown;
  }
  done(std::move(*device));
}

std::shared_ptr<Shown> GaugeParent::find(const Uuid& uuid) const {
  Lock lock(mutex_);
  const auto found = shown_.find(uuid);
  return found == shown_.end() ? nullptr : found->second.lock();
}

device::AttributeGroups GaugeParent::instance_groups() const {
  return groups;
}

}  // namespace umdev::gauge
