// A device for clients over real sockets: memory to read and write, memory to map, accesses that take their
// time, DMA, a pin that it does not give back, and interrupts.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/os/memfd.h"
#include "umdev/support/host.h"
#include "umdev/vfio/device.h"

namespace umdev::vfio_user::test {

enum BoardRegion : std::uint32_t {
  board_ram,     // answers at once
  board_shared,  // may be mapped: its first and third page
  board_slow,    // answers after Board::State::delay
  board_stuck,   // never answers
  board_dma,     // write an IOVA: 4 bytes are read from there; read: {errno or EINPROGRESS, the bytes}
  board_irq,     // write anything: raises interrupt 0. Two eventfds stand for writes (nobody watches them)
  board_fill,   // write {IOVA, count}: so many bytes of RAM are written there; board_dma says what came of it
  board_hold,   // write an IOVA: pins the page there, and never lets go
  board_fetch,  // write {IOVA, count}: so many bytes are read from there into RAM; board_dma as above
  board_regions,
};

class Board final : public vfio::Device {
 public:
  static constexpr std::uint64_t page = 4096;
  static constexpr std::uint64_t ram_size = 4U << 20;

  // What the test keeps of it. Outlives the device.
  struct State {
    std::atomic<std::int64_t> delay_milliseconds = 100;
    std::atomic<int> opens = 0;
    std::atomic<int> closes = 0;
    std::atomic<int> reset_error = 0;  // what a reset fails with
    // Counts the writes to RAM, of several boards if need be; `last_write` is this board's last one's number.
    std::shared_ptr<std::atomic<int>> write_count = std::make_shared<std::atomic<int>>(0);
    std::atomic<int> last_write = 0;
    os::UniqueFd shared = os::create_memfd("board", 3 * page).value();
    std::mutex mutex;
    std::vector<vfio::ReadRequest> stuck;
    std::vector<Timer> timers;
    std::vector<iommu::DmaPin> held;
    std::array<os::EventFd, 2> doorbells{os::EventFd::create().value(), os::EventFd::create().value()};
  };

  Board(std::shared_ptr<State> state, Clock& clock)
      : state_(std::move(state)), clock_(clock), ram_(ram_size) {}

  std::string_view name() const override { return "board"; }
  vfio::DeviceInfo info() const override {
    return {.flags = abi::vfio_device_flags_pci | abi::vfio_device_flags_reset,
            .num_regions = board_regions,
            .num_irqs = 2,
            .capabilities = {}};
  }
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override {
    constexpr std::uint32_t read_write = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
    constexpr std::array<std::uint64_t, board_regions> sizes{ram_size, 3 * page, 64, 64, 8, 4, 16, 8, 16};
    return vfio::RegionInfo{
        .flags = read_write | (index == board_shared ? abi::vfio_region_info_flag_mmap : 0U),
        .size = sizes[index],
        .offset = std::uint64_t{index} << 40,
        .capabilities = {}};
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override {
    return vfio::IrqInfo{.flags = abi::vfio_irq_info_eventfd, .count = index == 0 ? 1U : 3U};
  }
  bool pins_memory() const override { return true; }

  void open_device(vfio::User&, Done<> done) override {
    ++state_->opens;
    done();
  }
  void close_device(vfio::User&, Done<> done) override {
    ++state_->closes;
    done();
  }
  void read(vfio::ReadRequest request) override;
  void write(vfio::WriteRequest request) override;
  void reset(vfio::User&, Done<> done) override {
    if (const int code = state_->reset_error) return done(fail(code, "the board does not become quiet"));
    std::ranges::fill(ram_, std::byte{0});
    done();
  }
  Result<std::vector<vfio::MmapExtent>> mmap(vfio::User&, const vfio::MmapRequest&) override {
    return std::vector<vfio::MmapExtent>{
        {.fd = state_->shared.get(), .fd_offset = 0, .region_offset = 0, .length = page},
        {.fd = state_->shared.get(), .fd_offset = 2 * page, .region_offset = 2 * page, .length = page}};
  }

  Result<std::vector<vfio::IoEventFd>> io_event_fds(vfio::User&, std::uint32_t region) override {
    if (region != board_irq) return std::vector<vfio::IoEventFd>();
    return std::vector<vfio::IoEventFd>{
        {.fd = state_->doorbells[0].get(), .offset = 0, .size = 4, .datamatch = 7},
        {.fd = state_->doorbells[1].get(), .offset = 0, .size = 0, .datamatch = {}}};
  }

 private:
  void do_dma(vfio::WriteRequest request);
  void transfer(vfio::WriteRequest request);
  void hold(vfio::WriteRequest request);
  // Keeps what comes of a transfer for reads of board_dma.
  Done<> note();
  void set_code(int code);

  const std::shared_ptr<State> state_;
  Clock& clock_;
  std::vector<std::byte> ram_;
  std::array<std::byte, 8> dma_result_{};
};

}  // namespace umdev::vfio_user::test
