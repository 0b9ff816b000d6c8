#include "umdev/pci/pci_function.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace umdev::pci {
namespace {

using device::DeviceAttribute;

// The kernel's IORESOURCE_*.
constexpr std::uint64_t resource_io = 0x100;
constexpr std::uint64_t resource_memory = 0x200;
constexpr std::uint64_t resource_prefetch = 0x2000;
constexpr std::uint64_t resource_size_align = 0x40000;
constexpr std::uint64_t resource_memory_64 = 0x100000;
constexpr unsigned resource_lines = 13;  // BARs, ROM, and what only bridges have

std::string hex(std::uint64_t value, int digits) {
  char text[32];
  const int written =
      std::snprintf(text, sizeof text, "0x%0*llx", digits, static_cast<unsigned long long>(value));
  return {text, static_cast<std::size_t>(written)};
}

// An attribute that is a register of configuration space: where, and how many bytes.
struct Register {
  std::uint16_t offset;
  std::uint8_t size;
};

constexpr Register vendor_register{abi::pci_vendor_id, 2};
constexpr Register device_register{abi::pci_device_id, 2};
constexpr Register subsystem_vendor_register{abi::pci_subsystem_vendor_id, 2};
constexpr Register subsystem_register{abi::pci_subsystem_id, 2};
constexpr Register class_register{abi::pci_class_prog, 3};
constexpr Register revision_register{abi::pci_revision_id, 1};

Result<std::string> show_register(device::Device& device, const DeviceAttribute& attribute) {
  const auto& [offset, size] = *static_cast<const Register*>(attribute.context);
  std::uint64_t value = 0;
  std::memcpy(&value, PciFunction::from(device).layout().image().data() + offset, size);
  return hex(value, 2 * size) + "\n";
}

Result<std::string> show_text(device::Device&, const DeviceAttribute& attribute) {
  return std::string(static_cast<const char*>(attribute.context)) + "\n";
}

Result<std::string> show_resource(device::Device& device, const DeviceAttribute&) {
  return PciFunction::from(device).resource();
}

Result<std::string> show_modalias(device::Device& device, const DeviceAttribute&) {
  return PciFunction::from(device).modalias() + "\n";
}

// As the kernel's: "(null)" while there is none, an empty line takes it away.
Result<std::string> show_override(device::Device& device, const DeviceAttribute&) {
  const std::string name = PciFunction::from(device).driver_override();
  return (name.empty() ? "(null)" : name) + "\n";
}

void store_override(device::Device& device, const DeviceAttribute&, std::string_view text,
                    Done<std::size_t> done) {
  const std::size_t taken = text.size();
  PciFunction::from(device).set_driver_override(std::string(text.substr(0, text.find('\n'))));
  done(taken);
}

constexpr DeviceAttribute attributes[] = {
    {.name = "vendor", .show = show_register, .context = &vendor_register},
    {.name = "device", .show = show_register, .context = &device_register},
    {.name = "subsystem_vendor", .show = show_register, .context = &subsystem_vendor_register},
    {.name = "subsystem_device", .show = show_register, .context = &subsystem_register},
    {.name = "class", .show = show_register, .context = &class_register},
    {.name = "revision", .show = show_register, .context = &revision_register},
    {.name = "irq", .show = show_text, .context = "0"},
    {.name = "numa_node", .show = show_text, .context = "-1"},
    {.name = "enable", .show = show_text, .context = "1"},
    {.name = "dma_mask_bits", .show = show_text, .context = "64"},
    {.name = "resource", .show = show_resource},
    {.name = "modalias", .show = show_modalias},
    {.name = "driver_override", .mode = 0644, .show = show_override, .store = store_override},
};
constexpr device::AttributeGroup group{.attributes = attributes};

// Configuration space as at power-on; who has the function open reads its own by VFIO.
class ConfigAttribute final : public tree::BinaryAttribute {
 public:
  explicit ConfigAttribute(ConstBytes image) : image_(image.begin(), image.end()) {}
  std::uint64_t size() const override { return image_.size(); }
  Result<std::size_t> read(std::uint64_t offset, Bytes into) override {
    std::ranges::copy(ConstBytes(image_).subspan(offset, into.size()), into.begin());
    return into.size();
  }

 private:
  const std::vector<std::byte> image_;
};

std::vector<const device::AttributeGroup*> groups_with(std::vector<const device::AttributeGroup*> more) {
  more.insert(more.begin(), &group);
  return more;
}

}  // namespace

PciFunction::PciFunction(const Place& place, ConfigLayout layout,
                         std::vector<const device::AttributeGroup*> more)
    : Device(place.model, {.name = place.address.to_string(),
                           .parent = place.root,
                           .bus = place.bus,
                           .groups = groups_with(std::move(more))}),
      address_(place.address),
      layout_(std::move(layout)) {}

std::string PciFunction::driver_override() const {
  Lock lock(mutex_);
  return driver_override_;
}

void PciFunction::set_driver_override(std::string name) {
  Lock lock(mutex_);
  driver_override_ = std::move(name);
}

// Each BAR has a place of its own, aligned to its size, in a part of the address space that no machine uses.
std::string PciFunction::resource() const {
  constexpr std::uint64_t first_place = 1ULL << 52;
  std::uint64_t place = first_place;
  std::string lines;
  for (unsigned index = 0; index < resource_lines; ++index) {
    std::uint64_t size = 0;
    std::uint64_t flags = 0;
    if (index < layout_.bars().size()) {
      const Bar& bar = layout_.bars()[index];
      size = bar.size;
      flags = (bar.kind == Bar::Kind::io ? resource_io : resource_memory) | resource_size_align |
              (bar.prefetchable ? resource_prefetch : 0) |
              (bar.kind == Bar::Kind::memory64 ? resource_memory_64 : 0);
    } else if (index == layout_.bars().size()) {
      size = layout_.rom_size();
      flags = resource_memory | resource_size_align;
    }
    std::uint64_t end = 0;
    std::uint64_t begin = 0;
    if (size == 0) {
      flags = 0;
    } else {
      begin = (place + size - 1) / size * size;
      end = begin + size - 1;
      place = begin + size;
    }
    lines += hex(begin, 16) + " " + hex(end, 16) + " " + hex(flags, 16) + "\n";
  }
  return lines;
}

std::string PciFunction::modalias() const {
  char text[96];
  const int written = std::snprintf(
      text, sizeof text, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", id<std::uint16_t>(abi::pci_vendor_id),
      id<std::uint16_t>(abi::pci_device_id), id<std::uint16_t>(abi::pci_subsystem_vendor_id),
      id<std::uint16_t>(abi::pci_subsystem_id), id<std::uint8_t>(abi::pci_class_device + 1),
      id<std::uint8_t>(abi::pci_class_device), id<std::uint8_t>(abi::pci_class_prog));
  return {text, static_cast<std::size_t>(written)};
}

void PciFunction::stage(tree::Transaction& transaction, const tree::Directory& directory) {
  transaction.add_attribute(
      directory, {.name = "config", .attribute = std::make_unique<ConfigAttribute>(layout_.image())});
}

Result<> PciFunction::show(Done<> probed) {
  return add([this](tree::Transaction& transaction,
                    const tree::Directory& directory) { stage(transaction, directory); },
             std::move(probed));
}

void PciFunction::add_to_environment(device::Environment& environment) const {
  const auto add = [&](const char* form, unsigned first, unsigned second) {
    char text[64];
    const int written = std::snprintf(text, sizeof text, form, first, second);
    environment.emplace_back(text, static_cast<std::size_t>(written));
  };
  add("PCI_CLASS=%X%02X", id<std::uint16_t>(abi::pci_class_device), id<std::uint8_t>(abi::pci_class_prog));
  add("PCI_ID=%04X:%04X", id<std::uint16_t>(abi::pci_vendor_id), id<std::uint16_t>(abi::pci_device_id));
  add("PCI_SUBSYS_ID=%04X:%04X", id<std::uint16_t>(abi::pci_subsystem_vendor_id),
      id<std::uint16_t>(abi::pci_subsystem_id));
  environment.push_back("PCI_SLOT_NAME=" + address_.to_string());
  environment.push_back("MODALIAS=" + modalias());
}

}  // namespace umdev::pci
