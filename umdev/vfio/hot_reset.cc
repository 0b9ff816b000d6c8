#include "umdev/vfio/hot_reset.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "umdev/vfio/device_file.h"

namespace umdev::vfio {
namespace {

// The turns that it has of the devices' queues, and what is left to do.
struct HotReset {
  std::vector<DeviceRef> devices;
  InlineFunction<Result<>(), 96> may;
  Done<> done;
  std::vector<std::shared_ptr<SerialQueue>> queues;
  std::vector<Done<>> turns;
  std::size_t next = 0;  // of the queues, then of the devices
  Result<> result;
};
using HotResetPtr = std::shared_ptr<HotReset>;

// The files and references go before the turns: who waits for a device to be closed has the next one.
void end(const HotResetPtr& reset) {
  reset->devices.clear();
  reset->may.reset();
  Done<> done = std::move(reset->done);
  std::vector<Done<>> turns = std::move(reset->turns);
  for (Done<>& turn : turns) turn();
  done(reset->result);
}

void reset_next(const HotResetPtr& reset) {
  while (reset->next < reset->devices.size()) {
    const auto file = reset->devices[reset->next++]->open_file();
    if (!file) continue;
    return file->reset_in_turn([reset](Result<> result) {
      if (reset->result) reset->result = std::move(result);
      reset_next(reset);
    });
  }
  end(reset);
}

// One queue after the other, always in the same order, so that two of these do not wait for each other.
void take_turns(const HotResetPtr& reset) {
  if (reset->next < reset->queues.size()) {
    reset->queues[reset->next++]->post([reset](Done<> turn) {
      reset->turns.push_back(std::move(turn));
      take_turns(reset);
    });
    return;
  }
  reset->next = 0;
  reset->result = reset->may();
  reset->result ? reset_next(reset) : end(reset);
}

}  // namespace

void hot_reset(std::vector<DeviceRef> devices, InlineFunction<Result<>(), 96> may, Done<> done) {
  auto reset = std::make_shared<HotReset>();
  for (const DeviceRef& device : devices)
    reset->queues.push_back(device->device_set().queue().shared_from_this());
  std::ranges::sort(reset->queues);
  const auto repeated = std::ranges::unique(reset->queues);
  reset->queues.erase(repeated.begin(), repeated.end());
  reset->devices = std::move(devices);
  reset->may = std::move(may);
  reset->done = std::move(done);
  take_turns(reset);
}

}  // namespace umdev::vfio
