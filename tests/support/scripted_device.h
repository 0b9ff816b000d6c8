// A device for tests of the core: keeps what it is asked, answers as the test says.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "umdev/support/mutex.h"
#include "umdev/vfio/device.h"

namespace umdev::test {

// What the test sets and sees. Outlives the device, which the core owns. Any thread.
struct DeviceScript {
  // Behaviour. Set before the device is used.
  int open_error = 0;
  bool hold_open = false;  // open_device, close_device, reset complete when the test calls release_*()
  bool hold_close = false;
  bool hold_reset = false;
  bool hold_access = false;  // accesses wait in `reads` and `writes`
  bool pins_memory = true;
  std::uint32_t users_max = 1;
  vfio::Migration* migration = nullptr;  // outlives the device
  std::optional<Uuid> token;             // that whoever opens the device must show
  int match_answer = -1000;              // other than that: what match() answers
  std::uint32_t device_flags = abi::vfio_device_flags_pci | abi::vfio_device_flags_reset;
  std::vector<vfio::RegionInfo> regions = {
      {.flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write, .size = 256}};
  std::vector<vfio::IrqInfo> irqs = {
      {.flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable | abi::vfio_irq_info_automasked,
       .count = 1}};

  std::vector<vfio::IoEventFd> io_event_fds;  // of region 0

  // What happened: "open", "close", "read", "write", "reset", "request N", "dma_unmap", "destroyed", ...
  void record(std::string call) {
    Lock lock(mutex);
    calls.push_back(std::move(call));
  }
  std::size_t count(std::string_view call) {
    Lock lock(mutex);
    std::size_t found = 0;
    for (const std::string& known : calls) found += known == call;
    return found;
  }
  std::vector<std::string> seen() {
    Lock lock(mutex);
    return calls;
  }
  Done<> take(Done<>& held) {
    Lock lock(mutex);
    return std::move(held);
  }

  Mutex mutex;
  std::vector<std::string> calls UMDEV_GUARDED_BY(mutex);
  Done<> held_open, held_close, held_reset;
  std::deque<vfio::ReadRequest> reads;
  std::deque<vfio::WriteRequest> writes;
  vfio::User* user = nullptr;
  std::function<void()> on_write;  // inside each write, before it is answered
};

class ScriptedDevice final : public vfio::Device {
 public:
  explicit ScriptedDevice(std::shared_ptr<DeviceScript> script) : script_(std::move(script)) {}
  ~ScriptedDevice() override { script_->record("destroyed"); }

  std::string_view name() const override { return "scripted"; }
  std::uint32_t users_max() const override { return script_->users_max; }
  vfio::DeviceInfo info() const override {
    return {.flags = script_->device_flags,
            .num_regions = static_cast<std::uint32_t>(script_->regions.size()),
            .num_irqs = static_cast<std::uint32_t>(script_->irqs.size())};
  }
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override { return script_->regions[index]; }
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override { return script_->irqs[index]; }

  void open_device(vfio::User& user, Done<> done) override {
    script_->record("open");
    script_->user = &user;
    if (script_->open_error != 0) return done(fail(script_->open_error, "the test said so"));
    if (script_->hold_open) {
      script_->held_open = std::move(done);
      return;
    }
    done();
  }
  void close_device(vfio::User&, Done<> done) override {
    script_->record("close");
    script_->user = nullptr;
    if (script_->hold_close) {
      script_->held_close = std::move(done);
      return;
    }
    done();
  }
  void read(vfio::ReadRequest request) override {
    script_->record("read");
    if (script_->hold_access) {
      script_->reads.push_back(std::move(request));
      return;
    }
    std::fill(request.data().begin(), request.data().end(), std::byte{0x5a});
    request.complete_all();
  }
  void write(vfio::WriteRequest request) override {
    script_->record("write");
    if (script_->on_write) script_->on_write();
    if (script_->hold_access) {
      script_->writes.push_back(std::move(request));
      return;
    }
    request.complete_all();
  }
  void reset(vfio::User&, Done<> done) override {
    script_->record("reset");
    if (script_->hold_reset) {
      script_->held_reset = std::move(done);
      return;
    }
    done();
  }
  void request(unsigned count) override { script_->record("request " + std::to_string(count)); }
  int match(std::string_view registered, std::string_view wanted) const override {
    if (script_->match_answer != -1000) return script_->match_answer;
    return Device::match(registered, wanted);
  }
  Result<> match_token(const std::optional<Uuid>& token) const override {
    if (!script_->token) return Device::match_token(token);
    if (token != script_->token) return fail(EACCES, "the wrong token");
    return {};
  }
  Result<std::vector<vfio::IoEventFd>> io_event_fds(vfio::User&, std::uint32_t region) override {
    return region == 0 ? script_->io_event_fds : std::vector<vfio::IoEventFd>();
  }
  bool pins_memory() const override { return script_->pins_memory; }
  vfio::Migration* migration() override { return script_->migration; }
  void dma_unmap(vfio::User&, iommu::IovaRange) override { script_->record("dma_unmap"); }
  Result<std::vector<std::byte>> device_feature(vfio::User&, const vfio::FeatureRequest& request) override {
    script_->record("feature");
    if ((request.flags & abi::vfio_device_feature_mask) != 77) return fail(ENOTTY, "unknown feature");
    return std::vector<std::byte>(4);
  }
  Result<std::uint32_t> ioctl(vfio::User&, vfio::IoctlRequest request) override {
    script_->record("ioctl");
    if (request.command != 1) return fail(ENOTTY, "unknown command");
    return 42U;
  }

 private:
  const std::shared_ptr<DeviceScript> script_;
};

}  // namespace umdev::test
