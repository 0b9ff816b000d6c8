// A client of an instance, by the vfio-user client library: shows that the device behind a UUID is alive.
#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "apps/umdev/commands.h"
#include "umdev/abi/pci.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/system_error.h"
#include "umdev/vfio_user/client.h"

namespace umdev::cli {
namespace {

using vfio_user::Client;
using Json = nlohmann::ordered_json;

constexpr std::uint32_t config_region = 7;
constexpr std::uint32_t intx = 0;
constexpr std::size_t loop_bytes = 256;
constexpr int patience_milliseconds = 2000;

// A 16550A, as much of it as a loop needs.
namespace uart {
constexpr std::uint64_t data = 0, ier = 1, fcr = 2, lcr = 3, mcr = 4, lsr = 5;
constexpr std::uint64_t registers = 8;
constexpr std::uint8_t enable_received_data = 1, data_ready = 1, clear_and_enable_fifo = 7;
constexpr std::uint8_t eight_bits = 3, dtr_rts_out2 = 0x0b;
constexpr std::size_t fifo = 16;
}  // namespace uart

struct Port {
  std::uint32_t region = 0;
  std::size_t bytes = 0;
  std::uint64_t interrupts = 0;
};

struct Findings {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;
  std::uint32_t regions = 0;
  std::uint32_t irqs = 0;
  std::vector<Port> ports;
};

// INTx of the device, as an eventfd that is masked with each interrupt and has to be opened again.
class Interrupt {
 public:
  static Result<Interrupt> enable(Client& client) {
    Interrupt interrupt(client, UMDEV_TRY(os::EventFd::create()));
    const int fd = interrupt.event_.get();
    UMDEV_TRY(client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                               .index = intx,
                               .count = 1,
                               .eventfds = std::span(&fd, 1),
                               .bools = {}}));
    return interrupt;
  }

  // ETIMEDOUT when none comes.
  Result<> wait() {
    pollfd descriptor{.fd = event_.get(), .events = POLLIN, .revents = 0};
    const int ready = os::retry_interrupted([&] { return ::poll(&descriptor, 1, patience_milliseconds); });
    if (ready <= 0) return fail(ETIMEDOUT, "no interrupt came");
    count_ += event_.take();
    return {};
  }
  Result<> unmask() {
    return client_->set_irqs({.flags = abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_unmask,
                              .index = intx,
                              .count = 1,
                              .eventfds = {},
                              .bools = {}});
  }
  std::uint64_t count() const { return count_; }

 private:
  Interrupt(Client& client, os::EventFd event) : client_(&client), event_(std::move(event)) {}

  Client* client_;
  os::EventFd event_;
  std::uint64_t count_ = 0;
};

Result<> set_up_port(Client& client, std::uint32_t region) {
  UMDEV_TRY(client.write(region, uart::lcr, uart::eight_bits));
  UMDEV_TRY(client.write(region, uart::fcr, uart::clear_and_enable_fifo));
  UMDEV_TRY(client.write(region, uart::mcr, uart::dtr_rts_out2));
  return client.write(region, uart::ier, uart::enable_received_data);
}

// Sends a FIFO full, waits for the interrupt, and compares what has come back.
Result<> loop_chunk(Client& client, std::uint32_t region, Interrupt& interrupt,
                    std::span<const std::uint8_t> chunk) {
  for (const std::uint8_t byte : chunk) UMDEV_TRY(client.write(region, uart::data, byte));
  UMDEV_TRY(interrupt.wait());
  for (const std::uint8_t byte : chunk) {
    if ((UMDEV_TRY(client.read<std::uint8_t>(region, uart::lsr)) & uart::data_ready) == 0)
      return fail(EIO, "a byte that was sent did not come back");
    if (UMDEV_TRY(client.read<std::uint8_t>(region, uart::data)) != byte)
      return fail(EIO, "another byte came back than was sent");
  }
  return interrupt.unmask();
}

Result<Port> loop_through(Client& client, std::uint32_t region) {
  UMDEV_TRY(set_up_port(client, region));
  auto interrupt = UMDEV_TRY(Interrupt::enable(client));
  std::array<std::uint8_t, loop_bytes> bytes;
  std::iota(bytes.begin(), bytes.end(), static_cast<std::uint8_t>(region));
  for (std::size_t begin = 0; begin < bytes.size(); begin += uart::fifo)
    UMDEV_TRY(loop_chunk(client, region, interrupt, std::span(bytes).subspan(begin, uart::fifo)));
  UMDEV_TRY(client.write<std::uint8_t>(region, uart::ier, 0));
  return Port{.region = region, .bytes = bytes.size(), .interrupts = interrupt.count()};
}

constexpr std::uint32_t serial_controller_16550 = 0x070002;

Result<Findings> examine(Client& client) {
  UMDEV_TRY(client.negotiate());
  const auto info = UMDEV_TRY(client.device_info());
  Findings findings{.regions = info.num_regions, .irqs = info.num_irqs, .ports = {}};
  findings.vendor = UMDEV_TRY(client.read<std::uint16_t>(config_region, abi::pci_vendor_id));
  findings.device = UMDEV_TRY(client.read<std::uint16_t>(config_region, abi::pci_device_id));
  findings.class_code = UMDEV_TRY(client.read<std::uint32_t>(config_region, abi::pci_revision_id)) >> 8;
  if (findings.class_code != serial_controller_16550) return findings;
  UMDEV_TRY(client.write<std::uint16_t>(config_region, abi::pci_command, abi::pci_command_io));
  for (std::uint32_t bar = 0; bar < 6; ++bar) {
    const auto region = UMDEV_TRY(client.region_info(bar));
    if (region.info.size == uart::registers) findings.ports.push_back(UMDEV_TRY(loop_through(client, bar)));
  }
  UMDEV_TRY(client.reset());
  return findings;
}

void print(const std::string& uuid, const Findings& findings) {
  fmt::print("{}: {:04x}:{:04x} class {:06x}, {} regions, {} interrupt indexes\n", uuid, findings.vendor,
             findings.device, findings.class_code, findings.regions, findings.irqs);
  for (const Port& port : findings.ports)
    fmt::print("BAR{}: 16550A, {} bytes out and back, {} interrupts\n", port.region, port.bytes,
               port.interrupts);
}

void print_json(const std::string& uuid, const Findings& findings) {
  Json ports = Json::array();
  for (const Port& port : findings.ports)
    ports.push_back({{"region", port.region}, {"bytes", port.bytes}, {"interrupts", port.interrupts}});
  const Json json{{"uuid", uuid},
                  {"vendor", findings.vendor},
                  {"device", findings.device},
                  {"class", findings.class_code},
                  {"regions", findings.regions},
                  {"irqs", findings.irqs},
                  {"ports", std::move(ports)}};
  fmt::print("{}\n", json.dump(2));
}

Outcome<std::string> find_socket(const Options& options) {
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto result = remote->call("show", {{"uuid", options.uuid}});
  if (!result) return std::unexpected(result.error());
  const Json json = Json::parse(*result, nullptr, /*allow_exceptions=*/false);
  const auto socket = json.find("socket");
  if (socket == json.end() || !socket->is_string() || socket->empty())
    return std::unexpected(Failure{.text = "the instance has no socket: it is being removed"});
  return socket->get<std::string>();
}

}  // namespace

Outcome<> probe(const Options& options) {
  const auto socket = find_socket(options);
  if (!socket) return std::unexpected(socket.error());
  const auto failed = [&](const Error& error) {
    std::string text = fmt::format("{}: {} ({})", options.uuid, error.text, errno_name(error.code));
    if (error.code == EBUSY) text += "\n  somebody uses it: `umdev show` says who";
    return std::unexpected(Failure{.text = std::move(text)});
  };
  auto client = Client::connect(*socket);
  if (!client) return failed(client.error());
  const auto findings = examine(*client);
  if (!findings) return failed(findings.error());
  options.json ? print_json(options.uuid, *findings) : print(options.uuid, *findings);
  return {};
}

}  // namespace umdev::cli
