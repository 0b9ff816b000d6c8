// Uses a gauge through the C++ core, in one process: gauge_core native, or gauge_core MODULE.so. The steps of
// a script come on stdin, what came of each goes to stdout.
#include <fmt/format.h>

#include <iostream>
#include <optional>
#include <sstream>

#include "tests/module/gauge/gauge.h"
#include "tests/support/fake_backing.h"
#include "tests/support/later.h"
#include "tests/support/module_host.h"
#include "umdev/os/event_fd.h"

namespace umdev::gauge {
namespace {

constexpr std::uint64_t guest_size = 0x3000;

std::string text_of(ConstBytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::vector<std::byte> bytes_of_text(const std::string& text) {
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2)
    bytes.push_back(std::byte(std::stoul(text.substr(at, 2), nullptr, 16)));
  return bytes;
}

std::string name_of(int error) {
  return error == 0 ? "ok" : std::string(errno_name(error));
}

template <typename T>
std::string name_of(const Result<T>& result) {
  return name_of(test::error_of(result));
}

// An instance, open, and the memory and the interrupt of its user.
class Use {
 public:
  explicit Use(const std::string& driver) {
    if (driver == "native") {
      parent_ = world_.register_parent("gauge", GaugeParent::spec(), std::make_unique<GaugeParent>());
    } else {
      modules_.emplace(world_);
      if (const std::string refusal = modules_->add(driver); !refusal.empty()) std::cerr << refusal << "\n";
    }
    test::Later<> created;
    world_.bus->create({.parent = "gauge", .type = "gauge-1", .uuid = uuid_, .owner = {}, .attributes = {}},
                       created.done());
    test::run_until(world_, [&] { return created.is_done(); });
    session_ = world_.open_instance(uuid_);
  }
  ~Use() {
    session_ = {};
    world_.host.run();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  std::string step(std::istringstream words);

 private:
  vfio::DeviceFile& file() { return *session_.device; }
  std::uint64_t number(std::istringstream& words) {
    std::string word;
    words >> word;
    return std::stoull(word, nullptr, 0);
  }
  std::string info();
  std::string region(std::uint32_t index);
  std::string irq(std::uint32_t index);
  std::string irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count);
  std::string listen();
  std::string read(std::uint32_t region, std::uint64_t offset, std::size_t count);
  std::string write(std::uint32_t region, std::uint64_t offset, const std::string& text);
  std::string map(std::uint64_t iova, std::uint64_t size, const std::string& access);
  std::string unmap(std::uint64_t iova, std::uint64_t size);
  std::string map_region(std::uint32_t index);
  std::string reset();
  std::string poke(Bytes place, const std::string& text);

  const Uuid uuid_ = test::MdevWorld::uuid(1);
  test::MdevWorld world_;
  Registration parent_;
  std::optional<test::ModuleHost> modules_;
  const std::shared_ptr<test::MemoryBacking> guest_ = std::make_shared<test::MemoryBacking>(guest_size);
  std::uint64_t lent_ = 0;
  os::Mapping memory_;
  os::EventFd event_ = os::EventFd::create().value();
  test::MdevWorld::Session session_;
};

std::string Use::info() {
  const auto info = file().info();
  if (!info) return name_of(info);
  return fmt::format("flags 0x{:x}, {} regions, {} interrupts", info->flags, info->num_regions,
                     info->num_irqs);
}

std::string Use::region(std::uint32_t index) {
  const auto info = file().region_info(index);
  if (!info) return name_of(info);
  return fmt::format("flags 0x{:x}, size 0x{:x}", info->flags, info->size);
}

std::string Use::irq(std::uint32_t index) {
  const auto info = file().irq_info(index);
  if (!info) return name_of(info);
  return fmt::format("flags 0x{:x}, count {}", info->flags, info->count);
}

std::string Use::read(std::uint32_t region, std::uint64_t offset, std::size_t count) {
  const auto bytes = test::read_file(file(), region, offset, count);
  return bytes ? text_of(*bytes) : name_of(bytes);
}

std::string Use::write(std::uint32_t region, std::uint64_t offset, const std::string& text) {
  const auto count = test::write_file(file(), region, offset, bytes_of_text(text));
  return count ? std::to_string(*count) : name_of(count);
}

std::string Use::irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count) {
  vfio::IrqRequest request{.flags = flags, .index = index, .start = start, .count = count};
  return name_of(file().set_irqs(request));
}

std::string Use::listen() {
  std::vector<os::UniqueFd> eventfds;
  eventfds.push_back(event_.dup().value());
  vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                           .count = 1,
                           .eventfds = eventfds};
  return name_of(file().set_irqs(request));
}

std::string Use::map(std::uint64_t iova, std::uint64_t size, const std::string& access) {
  const bool writes = access.find('w') != std::string::npos;
  const auto mapped = session_.container->iommu().value()->map(
      {.flags = abi::vfio_dma_map_flag_read | (writes ? abi::vfio_dma_map_flag_write : 0U),
       .iova = iova,
       .size = size,
       .backing = guest_,
       .backing_offset = lent_});
  lent_ += size;
  return name_of(mapped);
}

std::string Use::unmap(std::uint64_t iova, std::uint64_t size) {
  test::Outcome<std::uint64_t> outcome;
  session_.container->iommu().value()->unmap({.iova = iova, .size = size}, outcome.done());
  world_.host.run();
  return name_of(outcome.error());
}

std::string Use::map_region(std::uint32_t index) {
  const auto extents = file().mmap({.region = index, .offset = 0, .length = os::page_size()});
  if (!extents) return name_of(extents);
  memory_ = os::Mapping::of_fd(extents->front().fd, extents->front().fd_offset, extents->front().length,
                               os::Protection::read_write)
                .value();
  return "ok";
}

std::string Use::reset() {
  test::Outcome<> outcome;
  file().reset(outcome.done());
  world_.host.run();
  return name_of(outcome.error());
}

std::string Use::poke(Bytes place, const std::string& text) {
  std::ranges::copy(bytes_of_text(text), place.begin());
  return "ok";
}

std::string Use::step(std::istringstream words) {
  std::string verb;
  std::string text;
  words >> verb;
  if (verb == "info") return info();
  if (verb == "listen") return listen();
  if (verb == "event") return std::to_string(event_.take());
  if (verb == "reset") return reset();
  const std::uint64_t first = number(words);
  const auto index = static_cast<std::uint32_t>(first);
  if (verb == "region") return region(index);
  if (verb == "irq") return irq(index);
  if (verb == "mmap") return map_region(index);
  if (verb == "poke" || verb == "fill") {
    words >> text;
    return poke((verb == "poke" ? memory_.writable_bytes() : guest_->bytes()).subspan(first), text);
  }
  const std::uint64_t second = number(words);
  if (verb == "peek") return text_of(memory_.bytes().subspan(first, second));
  if (verb == "guest") return text_of(guest_->bytes().subspan(first, second));
  if (verb == "unmap") return unmap(first, second);
  if (verb == "read") return read(index, second, number(words));
  if (verb == "irqs") {
    const auto start = static_cast<std::uint32_t>(number(words));
    return irqs(index, static_cast<std::uint32_t>(second), start, static_cast<std::uint32_t>(number(words)));
  }
  words >> text;
  if (verb == "write") return write(index, second, text);
  if (verb == "map") return map(first, second, text);
  return "what?";
}

}  // namespace
}  // namespace umdev::gauge

int main(int count, char** values) {
  if (count != 2) return 2;
  umdev::gauge::Use use(values[1]);
  std::string line;
  while (std::getline(std::cin, line))
    if (!line.empty() && line[0] != '#')
      std::cout << line << ": " << use.step(std::istringstream(line)) << "\n";
}
