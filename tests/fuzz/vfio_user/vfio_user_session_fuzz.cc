// A session as a program drives it: up to two clients of one device send messages with descriptors, whole, in
// pieces and broken; their files shrink and grow; time passes; the device is slow, keeps pins, copies, is
// removed. Held against a plain model of what a client may expect (tests/support/vfio_user/client_model.h).
//
// The input is a sequence of steps. The first byte of a step is which (below), and in its highest bit whether
// the server is kept from running before the next step. tests/fuzz/vfio_user/make_corpus.py writes such
// programs.
#include <cstdint>
#include <string_view>

#include "tests/fuzz/vfio_user/session_machine.h"
#include "tests/support/fuzz/step_reader.h"

namespace umdev::vfio_user {
namespace {

using test::BusyRegions;
using test::Doorbell;
using test::StepReader;

enum class Step : std::uint8_t {
  command,
  posted,
  any_header,
  any_bytes,
  time,
  resize,
  switch_client,
  connect,
  behave,
  answer,
  interrupt,
  hang_up,
  serve,
  remove,
  socket,
  pieces,
  steps
};

constexpr std::array<std::string_view, 8> version_texts{
    "{}",
    R"({"capabilities":{"write_multiple":true,"max_msg_fds":8,"max_data_xfer_size":1048576}})",
    R"({"capabilities":{"twin_socket":{"supported":true},"max_data_xfer_size":64,"max_dma_maps":3}})",
    R"({"capabilities":{"migration":{"pgsize":4096},"write_multiple":true,"pgsizes":4294963200}})",
    R"({"capabilities":{"max_data_xfer_size":0}})",
    R"({"capabilities":{"pgsizes":2097152,"twin_socket":{"supported":true,"fd_index":0}}})",
    R"({"capabilities":[[[[[[[[[[1]]]]]]]]]]})",
    ""};

struct Message {
  std::vector<std::byte> bytes = std::vector<std::byte>(sizeof(abi::VfioUserHeader));
  std::vector<os::UniqueFd> fds;
  std::vector<test::SentDescriptor> descriptors;

  void add(ConstBytes more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  template <typename T>
  void add_struct(const T& head) {
    add(bytes_of(head));
  }
};

class Program {
 public:
  Program(SessionMachine& machine, ConstBytes input) : machine_(machine), reader_(input) {}

  void run() {
    constexpr int steps_max = 400;
    machine_.connect(0);
    for (int step = 0; step < steps_max && !reader_.at_end(); ++step) {
      const std::uint8_t first = reader_.byte();
      take_step(static_cast<Step>((first & 0x7f) % static_cast<std::size_t>(Step::steps)));
      if ((first & 0x80) == 0) machine_.run();
    }
  }

 private:
  test::ModelClient* client() { return machine_.seat(current_).client.get(); }

  void take_step(Step step) {
    switch (step) {
      case Step::command:
      case Step::posted:
        return command(step == Step::posted ? abi::vfio_user_flags_no_reply : 0);
      case Step::any_header:
        return any_header();
      case Step::any_bytes:
        if (client() != nullptr) client()->send_raw(reader_.bytes(reader_.byte()), {});
        return;
      case Step::time: {
        constexpr std::array<std::int64_t, 8> milliseconds{1, 10, 100, 499, 1000, 2500, 5000, 11000};
        return machine_.advance(std::chrono::milliseconds(milliseconds.at(reader_.below(8))));
      }
      case Step::resize: {
        const std::size_t file = reader_.below(SessionMachine::file_count);
        return machine_.resize(file, reader_.below(20));
      }
      case Step::switch_client:
        current_ = (current_ + 1) % SessionMachine::client_count;
        return;
      case Step::connect:
        return machine_.connect(current_);
      case Step::behave:
        return behave();
      case Step::answer:
        machine_.device().answer_one();
        return;
      case Step::interrupt:
        return interrupt();
      case Step::hang_up:
        return machine_.hang_up(current_);
      case Step::serve:
        return serve();
      case Step::remove:
        return machine_.remove_device();
      case Step::socket:
        return trouble();
      default:
        piece_ = reader_.byte();
    }
  }

  void behave() {
    const std::uint8_t bits = reader_.byte();
    machine_.device().slow = (bits & 1) != 0;
    machine_.device().keeps_pins = (bits & 2) != 0;
    if ((bits & 2) != 0) machine_.disturb();
  }
  void interrupt() {
    if (machine_.device().user == nullptr) return;
    const std::uint32_t index = reader_.byte();
    const std::uint32_t vector = reader_.byte();
    if (reader_.chance())
      machine_.device().user->irqs().lower(index, vector);
    else
      machine_.device().user->irqs().raise(index, vector);
  }
  void trouble() {
    if (client() == nullptr) return;
    test::FakeSocket& socket = client()->socket();
    if (socket.unread() > little) machine_.run();  // or each of its bytes may take a turn from here on
    const std::uint8_t what = reader_.byte();
    const std::size_t amount = reader_.byte();
    switch (what % 5) {
      case 0:
        socket.receive_at_most = amount + 1;
        return;
      case 1:
        socket.send_at_most = amount + 1;
        return;
      case 2:
        socket.room = amount == 0 ? SIZE_MAX : amount * 16;
        return;
      case 3:
        socket.spurious = static_cast<unsigned>(amount % 4);
        return;
      default:
        socket.lose_descriptors = true;
        client()->model().set_shortage(true);
    }
  }

  // Answers a command of the server's: as it should be, or not.
  void serve() {
    if (client() == nullptr || client()->asked().empty()) return;
    const auto& asked = client()->asked().front();
    auto head = load_struct<abi::VfioUserDmaAccess>(asked.payload).value_or(abi::VfioUserDmaAccess{});
    const bool is_read = asked.header.command == abi::vfio_user_dma_read;
    const std::uint8_t how = reader_.byte();
    if (how % 4 == 1) return client()->answer(1 + reader_.byte(), {});
    if (how % 4 == 2) return client()->answer(0, reader_.bytes(reader_.byte()));
    if (how % 4 == 3) head.count = reader_.number(1);
    std::vector<std::byte> payload(sizeof head +
                                   (is_read ? std::min<std::uint64_t>(head.count, data_max()) : 0));
    std::ranges::copy(bytes_of(head), payload.begin());
    client()->answer(0, payload);
  }

  // How much one message should carry: little when it goes byte by byte.
  static constexpr std::uint32_t little = 2048;
  std::uint32_t data_max() {
    constexpr std::uint32_t much = (1U << 20) + 1;
    if (client() == nullptr) return little;
    const test::FakeSocket& socket = client()->socket();
    const bool bytewise =
        piece_ != 0 || (socket.receive_at_most & socket.send_at_most) != SIZE_MAX || socket.room != SIZE_MAX;
    return bytewise ? little : much;
  }

  // --- Messages.

  void attach(Message& message, std::size_t which) {
    SessionMachine::Lent lent = machine_.lend(which);
    message.fds.push_back(std::move(lent.fd));
    message.descriptors.push_back(lent.what);
  }
  void send(Message& message, std::uint16_t command, std::uint32_t flags) {
    const abi::VfioUserHeader header{.message_id = next_id_++,
                                     .command = command,
                                     .size = static_cast<std::uint32_t>(message.bytes.size()),
                                     .flags = flags,
                                     .error = 0};
    std::ranges::copy(bytes_of(header), message.bytes.begin());
    if (client() != nullptr)
      client()->send(message.bytes, std::move(message.fds), std::move(message.descriptors), piece_);
  }

  // A whole message whose header says anything but its size.
  void any_header() {
    Message message;
    const auto command = static_cast<std::uint16_t>(reader_.byte());
    const auto flags = static_cast<std::uint32_t>(reader_.byte());
    for (std::size_t fds = reader_.below(20); fds > 0; --fds) attach(message, fds % 8);
    message.add(reader_.bytes(reader_.byte()));
    send(message, command, flags);
  }

  std::uint32_t argsz(std::size_t size) {
    const std::uint8_t first = reader_.byte();
    return first < 0xf0 ? static_cast<std::uint32_t>(size + first) : first - 0xf0U;
  }

  void command(std::uint32_t flags) {
    Message message;
    const auto number = static_cast<std::uint16_t>(reader_.below(20));
    switch (number) {
      case abi::vfio_user_version:
        version(message);
        break;
      case abi::vfio_user_dma_map:
        dma_map(message);
        break;
      case abi::vfio_user_dma_unmap:
        dma_unmap(message);
        break;
      case abi::vfio_user_device_get_info:
      case abi::vfio_user_device_get_region_info:
      case abi::vfio_user_device_get_region_io_fds:
      case abi::vfio_user_device_get_irq_info:
        info(message, number);
        break;
      case abi::vfio_user_device_set_irqs:
        set_irqs(message);
        break;
      case abi::vfio_user_region_read:
        access(message, /*is_write=*/false);
        break;
      case abi::vfio_user_region_write:
        access(message, /*is_write=*/true);
        break;
      case abi::vfio_user_region_write_multi:
        write_multi(message);
        break;
      case abi::vfio_user_dma_read:  // that is the server's: here, a doorbell
        return doorbell(flags);
      case abi::vfio_user_device_feature:
        feature(message);
        break;
      case abi::vfio_user_mig_data_read:
      case abi::vfio_user_mig_data_write:
        migration_data(message, number);
        break;
      default:
        message.add(reader_.bytes(reader_.below(32)));
    }
    send(message, number, flags);
  }

  void version(Message& message) {
    const std::uint8_t which = reader_.byte();
    message.add_struct(abi::VfioUserVersion{.major_number = static_cast<std::uint16_t>(which >> 7),
                                            .minor_number = static_cast<std::uint16_t>((which >> 6) & 1)});
    const bool own = (which & 0x20) != 0;
    const std::string_view text = version_texts.at(which % version_texts.size());
    const ConstBytes bytes =
        own ? reader_.bytes(reader_.byte()) : std::as_bytes(std::span(text.data(), text.size()));
    message.add(bytes);
    if (!bytes.empty()) message.bytes.push_back(std::byte{0});
  }

  void dma_map(Message& message) {
    const std::size_t file = reader_.byte();
    abi::VfioUserDmaMap map{};
    map.argsz = argsz(sizeof map);
    map.flags = static_cast<std::uint32_t>(reader_.number(1));
    map.iova = reader_.number(iommu::page_size);
    map.size = reader_.number(iommu::page_size);
    if (file < 12) {
      attach(message, file % 7);
      map.offset = reader_.number(iommu::page_size);
    }
    message.add_struct(map);
  }

  void dma_unmap(Message& message) {
    abi::VfioUserDmaUnmap unmap{};
    unmap.argsz = argsz(sizeof unmap);
    unmap.flags = static_cast<std::uint32_t>(reader_.number(1));
    unmap.iova = reader_.number(iommu::page_size);
    unmap.size = reader_.number(iommu::page_size);
    message.add_struct(unmap);
    if ((unmap.flags & abi::vfio_dma_unmap_flag_get_dirty_bitmap) != 0) {
      const abi::VfioUserBitmap bitmap{.page_size = reader_.number(iommu::page_size),
                                       .size = reader_.number(8)};
      message.add_struct(bitmap);
    }
  }

  void info(Message& message, std::uint16_t number) {
    // All of them begin with argsz, flags and (but for one) the index.
    abi::VfioUserRegionInfo asked{};
    const std::size_t size = number == abi::vfio_user_device_get_region_info ? sizeof asked : 16;
    asked.argsz = argsz(size);
    asked.index = static_cast<std::uint32_t>(reader_.number(1));
    message.add(bytes_of(asked).first(size));
  }

  void set_irqs(Message& message) {
    abi::VfioUserIrqSet asked{};
    asked.argsz = argsz(sizeof asked);
    asked.flags = static_cast<std::uint32_t>(reader_.number(1));
    asked.index = static_cast<std::uint32_t>(reader_.number(1));
    asked.start = static_cast<std::uint32_t>(reader_.number(1));
    asked.count = static_cast<std::uint32_t>(reader_.number(1));
    message.add_struct(asked);
    const std::uint8_t with = reader_.byte();
    const bool eventfds = (asked.flags & abi::vfio_irq_set_data_eventfd) != 0;
    if (eventfds)
      for (std::size_t fds = with < 240 ? std::min<std::size_t>(asked.count, 20) : with % 20; fds > 0; --fds)
        attach(message, with < 200 ? 6 : fds % 7);
    else
      message.add(reader_.bytes(std::min<std::size_t>(asked.count, 64)));
  }

  void access(Message& message, bool is_write) {
    abi::VfioUserRegionAccess head{};
    head.region = static_cast<std::uint32_t>(reader_.number(1));
    head.offset = reader_.number(1);
    head.count = static_cast<std::uint32_t>(reader_.number(1));
    message.add_struct(head);
    if (!is_write) return;
    const ConstBytes data = reader_.bytes(std::min<std::uint32_t>(head.count, 512));
    message.add(data);
    // What the program does not say is zeros; now and then the data are not as many as said.
    if (head.count <= data_max()) message.bytes.resize(message.bytes.size() + head.count - data.size());
    if (reader_.byte() >= 0xf0) message.bytes.push_back(std::byte{1});
  }

  void write_multi(Message& message) {
    const std::size_t count = reader_.below(32);
    const std::uint8_t lie = reader_.byte();
    const std::uint64_t said = lie >= 0xf0 ? reader_.number(1) : count;
    message.add_struct(said);
    for (std::size_t i = 0; i < count; ++i) {
      abi::VfioUserWriteEntry entry{};
      entry.region = static_cast<std::uint32_t>(reader_.number(1));
      entry.offset = reader_.number(1);
      entry.count = static_cast<std::uint32_t>(reader_.number(1));
      entry.data[0] = reader_.byte();
      message.add_struct(entry);
    }
  }

  // A write that makes the device do something to the client's memory.
  void doorbell(std::uint32_t flags) {
    Doorbell ring{};
    ring.action = static_cast<std::uint32_t>(reader_.below(Doorbell::actions));
    ring.iova = reader_.number(iommu::page_size) + reader_.byte() % 4;
    ring.size = static_cast<std::uint32_t>(reader_.number(64));
    if (data_max() < ring.size && ring.action < Doorbell::raise) ring.size = data_max();
    Message message;
    message.add_struct(
        abi::VfioUserRegionAccess{.offset = 0, .region = BusyRegions::doorbell, .count = sizeof ring});
    message.add_struct(ring);
    send(message, abi::vfio_user_region_write, flags);
  }

  void feature(Message& message) {
    abi::VfioUserFeature head{};
    head.argsz = argsz(sizeof head);
    // The number in the low byte; GET, SET and PROBE are bits 16 to 18.
    head.flags = reader_.byte() | static_cast<std::uint32_t>(reader_.byte()) << 16;
    message.add_struct(head);
    message.add(reader_.bytes(reader_.below(64)));
  }

  void migration_data(Message& message, std::uint16_t number) {
    abi::VfioUserMigData head{};
    head.argsz = argsz(sizeof head);
    head.size = static_cast<std::uint32_t>(reader_.number(1));
    message.add_struct(head);
    if (number == abi::vfio_user_mig_data_write) message.add(reader_.bytes(std::min(head.size, 512U)));
  }

  SessionMachine& machine_;
  StepReader reader_;
  std::size_t current_ = 0;
  std::size_t piece_ = 0;
  std::uint16_t next_id_ = 1;
};

}  // namespace
}  // namespace umdev::vfio_user

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto machine = std::make_shared<umdev::vfio_user::SessionMachine>();
  machine->begin();
  umdev::vfio_user::Program(*machine, std::as_bytes(std::span(data, size))).run();
  machine->finish();
  return 0;
}
