// A DMA engine under a hostile client: any access to its registers and its configuration space, chains of any
// bytes in memory that the client changes while they are worked on, resets, interrupts, moves. After each
// step: memory outside what is mapped is as it was, nothing is pinned, and a channel's state fits its error.
// At the end it can be stopped, saved, loaded into another engine as the same, and reset to power-on.
//
// The input: how (1 byte: channels, memory by messages), then steps.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "drivers/ioat/ioat.h"
#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/fuzz/step_reader.h"
#include "tests/support/test_host.h"

namespace umdev::ioat {
namespace {

using test::StepReader;

constexpr std::uint64_t memory_at = 0x10000;
constexpr std::size_t memory_size = 0x8000;
constexpr std::uint64_t read_only_at = 0x20000;
constexpr std::size_t read_only_size = 0x1000;
constexpr std::uint32_t config = abi::vfio_pci_config_region_index;

class Machine {
 public:
  explicit Machine(StepReader reader)
      : reader_(reader),
        how_(reader_.byte()),
        device_(Ioat::create((how_ & 1) != 0 ? 4 : 1, host_)),
        engine_(static_cast<Ioat&>(*device_)),
        user_(*device_),
        memory_(user_.map(memory_at, memory_size)),
        read_only_(user_.map(read_only_at, read_only_size, iommu::Access::read)) {
    std::ranges::fill(read_only_, std::byte{0x5a});
    if ((how_ & 2) != 0) user_.use_messages();
    device_->open_device(user_, [](Result<>) {});
    write<std::uint16_t>(config, abi::pci_command, abi::pci_command_memory | abi::pci_command_master);
  }

  void run() {
    constexpr int steps_max = 300;
    for (int step = 0; step < steps_max && !reader_.at_end(); ++step) {
      take_step();
      check();
    }
    move();
    finish();
  }

 private:
  template <std::unsigned_integral T>
  void write(std::uint32_t region, std::uint64_t offset, T value) {
    write_bytes(region, offset, bytes_of(value));
  }
  // A reset by configuration space is answered when the engine is quiet.
  void write_bytes(std::uint32_t region, std::uint64_t offset, ConstBytes from) {
    test::FakeAccess access(user_, region, offset, std::vector<std::byte>(from.begin(), from.end()));
    device_->write(access.write_request());
    for (int turn = 0; turn < 100 && !access.completed(); ++turn) work();
    UMDEV_ASSERT(access.completed(), "a write is never answered");
  }

  void work() {
    host_.run();
    user_.run_dma();
  }

  void take_step() {
    const std::uint8_t which = reader_.byte();
    switch (which % 8) {
      case 0:
        work();
        return;
      case 1:
        return put_descriptor();
      case 2:
        return command(which);
      case 3:
        return write_bytes(0, reader_.little_endian(2) % 0x300, reader_.bytes(1 + reader_.byte() % 32));
      case 4:
        return write_bytes(0, reader_.little_endian(2) % 0x3ff0, reader_.bytes(1 + reader_.byte() % 16));
      case 5:
        return write_bytes(config, reader_.little_endian(2) % 0xff0, reader_.bytes(1 + reader_.byte() % 16));
      case 6:
        (void)test::read_bytes(*device_, user_, 0, reader_.little_endian(2) % 0x3f00, 1 + reader_.byte());
        return;
      default:
        return whole(which);
    }
  }

  // A descriptor that is mostly near something that is there.
  void put_descriptor() {
    const std::size_t at = reader_.below(64) * spec::descriptor_size;
    const auto put = [&](std::size_t offset, auto value) {
      UMDEV_ASSERT(store_le(memory_, at + offset, value), "the ring lies in memory");
    };
    put(spec::descriptor_size_field, static_cast<std::uint32_t>(reader_.number(64)));
    put(spec::descriptor_control,
        static_cast<std::uint32_t>(reader_.little_endian(1) | reader_.little_endian(1) << 24));
    put(spec::descriptor_source, address());
    put(spec::descriptor_destination, address());
    put(spec::descriptor_next, memory_at + reader_.number(spec::descriptor_size));
  }
  std::uint64_t address() {
    const std::uint8_t which = reader_.byte();
    if (which == 0xff) return reader_.number(1);
    return (which < 0xe0 ? memory_at : read_only_at) + reader_.number(128);
  }

  // What drivers do with a channel.
  void command(std::uint8_t which) {
    const std::uint64_t channel = (1 + (which >> 6)) * std::uint64_t{spec::channel_size};
    switch (reader_.byte() % 4) {
      case 0:
        write<std::uint64_t>(0, channel + spec::chancmp, address());
        write<std::uint16_t>(0, channel + spec::chanctrl, 0x1d);
        return write<std::uint64_t>(0, channel + spec::chainaddr,
                                    memory_at + reader_.below(64) * spec::descriptor_size);
      case 1:
        return write<std::uint16_t>(0, channel + spec::dmacount, reader_.byte());
      case 2:
        return write<std::uint8_t>(0, channel + spec::chancmd, reader_.byte());
      default:
        return write<std::uint32_t>(0, channel + spec::chanerr, ~0U);
    }
  }

  void whole(std::uint8_t which) {
    switch (which / 8 % 4) {
      case 0: {
        device_->reset(user_, [this](Result<> done) { resets_ += done ? 1 : 1000; });
        ++resets_wanted_;
        return;
      }
      case 1:
        (void)user_.irq().listen(abi::vfio_pci_msix_irq_index, 0, 1 + reader_.byte() % 4);
        return;
      case 2:
        (void)user_.irq().disable(abi::vfio_pci_msix_irq_index);
        return;
      default:
        engine_.set_running((which & 0x40) != 0, true, [](Result<>) {});
        return;
    }
  }

  void check() {
    UMDEV_ASSERT(std::ranges::count(read_only_, std::byte{0x5a}) == read_only_size,
                 "memory was written that may only be read");
    if ((how_ & 2) == 0) UMDEV_ASSERT(user_.pin_count() == 0, "a pin is held between two turns");
    for (unsigned channel = 0; channel < engine_.channel_count(); ++channel) {
      const std::uint64_t at = (channel + 1) * std::uint64_t{spec::channel_size};
      const auto status = test::read_register<std::uint64_t>(*device_, user_, 0, at + spec::chansts);
      const auto error = test::read_register<std::uint32_t>(*device_, user_, 0, at + spec::chanerr);
      UMDEV_ASSERT(status && error, "a register cannot be read");
      UMDEV_ASSERT((*status & 7) <= 4, "no such state");
      if (*error != 0) UMDEV_ASSERT((*status & 7) == 3, "a channel with an error is not halted");
    }
  }

  std::vector<std::byte> saved(Ioat& engine) {
    StreamWriter writer("fuzz", 8192);
    engine.save(writer);
    writer.finish();
    return {writer.bytes()->begin(), writer.bytes()->end()};
  }

  void settle(bool& over) {
    constexpr int turns_max = 10000;
    for (int turn = 0; turn < turns_max && !over; ++turn) work();
    UMDEV_ASSERT(over, "the engine does not come to rest");
  }

  void move() {
    bool quiet = false;
    engine_.set_running(false, true, [&quiet](Result<>) { quiet = true; });
    settle(quiet);
    UMDEV_ASSERT(resets_ == resets_wanted_, "a reset has failed or was forgotten");
    const std::vector<std::byte> stream = saved(engine_);
    const auto other = Ioat::create(engine_.channel_count(), host_);
    auto reader = StreamReader::open(stream, "fuzz");
    UMDEV_ASSERT(reader && static_cast<Ioat&>(*other).load(*reader), "what was saved is refused");
    UMDEV_ASSERT(saved(static_cast<Ioat&>(*other)) == stream, "what was loaded is saved as something else");
  }

  void finish() {
    bool over = false;
    engine_.set_running(true, true, [](Result<>) {});
    device_->reset(user_, [&over](Result<>) { over = true; });
    settle(over);
    const auto fresh = Ioat::create(engine_.channel_count(), host_);
    UMDEV_ASSERT(saved(engine_) == saved(static_cast<Ioat&>(*fresh)), "a reset is not power-on");
    over = false;
    device_->close_device(user_, [&over](Result<>) { over = true; });
    settle(over);
  }

  StepReader reader_;
  const std::uint8_t how_;
  test::TestHost host_;
  const std::unique_ptr<vfio::Device> device_;
  Ioat& engine_;
  test::FakeUser user_;
  const Bytes memory_;
  const Bytes read_only_;
  int resets_ = 0;
  int resets_wanted_ = 0;
};

}  // namespace
}  // namespace umdev::ioat

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::ioat::Machine(umdev::test::StepReader(std::as_bytes(std::span(data, size)))).run();
  return 0;
}
