// The client's side of SET_IRQS in a unit test: eventfds of its own, and how often they were signalled.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <utility>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/os/event_fd.h"
#include "umdev/vfio/irq_set.h"

namespace umdev::test {

// Sets up an IrqSet with real eventfds, as a client does. Not thread-safe.
class IrqClient {
 public:
  explicit IrqClient(vfio::IrqSet& irqs) : irqs_(&irqs) {}
  // The same client, whose device is in another place now.
  IrqClient(IrqClient& before, vfio::IrqSet& irqs) : irqs_(&irqs), events_(std::move(before.events_)) {}

  // TRIGGER with `count` fresh eventfds, of which the old ones are forgotten.
  Result<> listen(std::uint32_t index, std::uint32_t start = 0, std::uint32_t count = 1) {
    std::vector<os::UniqueFd> descriptors;
    for (std::uint32_t vector = start; vector < start + count; ++vector) {
      os::EventFd event = UMDEV_TRY(os::EventFd::create());
      descriptors.push_back(UMDEV_TRY(event.dup()));
      events_[{index, vector}] = std::move(event);
    }
    return eventfds(abi::vfio_irq_set_action_trigger, index, start, std::move(descriptors));
  }

  // How often a vector was signalled since the last call. 0 for one that nobody listens to.
  std::uint64_t take(std::uint32_t index, std::uint32_t vector = 0) {
    const auto found = events_.find({index, vector});
    return found == events_.end() ? 0 : found->second.take();
  }

  // TRIGGER by NONE with count 0.
  Result<> disable(std::uint32_t index) { return none(abi::vfio_irq_set_action_trigger, index, 0, 0); }

  // `action` is one of abi::vfio_irq_set_action_*.
  Result<> none(std::uint32_t action, std::uint32_t index, std::uint32_t start = 0, std::uint32_t count = 1) {
    vfio::IrqRequest request{
        .flags = abi::vfio_irq_set_data_none | action, .index = index, .start = start, .count = count};
    return irqs_->set(request);
  }
  Result<> bools(std::uint32_t action, std::uint32_t index, std::uint32_t start,
                 std::initializer_list<bool> values) {
    std::vector<std::byte> bytes;
    for (const bool value : values) bytes.push_back(value ? std::byte{1} : std::byte{0});
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_bool | action,
                             .index = index,
                             .start = start,
                             .count = static_cast<std::uint32_t>(bytes.size()),
                             .bools = bytes};
    return irqs_->set(request);
  }
  Result<> eventfds(std::uint32_t action, std::uint32_t index, std::uint32_t start,
                    std::vector<os::UniqueFd> descriptors) {
    vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | action,
                             .index = index,
                             .start = start,
                             .count = static_cast<std::uint32_t>(descriptors.size()),
                             .eventfds = descriptors};
    return irqs_->set(request);
  }
  // One descriptor, which may be empty (the UAPI's -1).
  Result<> eventfd(std::uint32_t action, std::uint32_t index, std::uint32_t vector, os::UniqueFd descriptor) {
    std::vector<os::UniqueFd> descriptors;
    descriptors.push_back(std::move(descriptor));
    return eventfds(action, index, vector, std::move(descriptors));
  }

 private:
  vfio::IrqSet* irqs_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, os::EventFd> events_;
};

}  // namespace umdev::test
