// What a device pays for memory and interrupts, without a socket.
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <random>

#include "bench/devices.h"
#include "bench/sections.h"
#include "bench/world.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/event_loop.h"
#include "umdev/os/mapping.h"
#include "umdev/os/write_watch.h"
#include "umdev/support/histogram.h"

namespace umdev::bench {
namespace {

constexpr std::array<std::size_t, 2> mapping_counts{4096, 65535};
constexpr std::uint64_t mapping_size = 65536;
constexpr std::uint64_t mapping_stride = 2 * mapping_size;  // so that no two adjoin
constexpr std::size_t pins_per_sample = 1000;
constexpr std::size_t pins_kept = 64;
constexpr std::size_t raises_per_sample = 200;

class Memory final : public iommu::Backing {
 public:
  Bytes mapped() override { return mapping_.writable_bytes(); }

 private:
  os::Mapping mapping_ = must(os::Mapping::anonymous(mapping_size), "memory");
};

// Walks over the mappings in an order that does not change from run to run.
class Walk {
 public:
  explicit Walk(std::size_t places) : order_(places) {
    std::iota(order_.begin(), order_.end(), 0U);
    std::ranges::shuffle(order_, std::mt19937(1));
  }
  std::size_t next() {
    if (++at_ == order_.size()) at_ = 0;
    return order_[at_];
  }

 private:
  std::vector<std::uint32_t> order_;
  std::size_t at_ = 0;
};

Operation pinning(vfio::User& user, std::size_t places) {
  return {.run =
              [&user, walk = Walk(places)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) {
                  const auto pin = user.pin({.iova = walk.next() * mapping_stride, .size = iommu::page_size},
                                            iommu::Access::read_write);
                  if (!pin) give_up("a pin", pin.error());
                }
              },
          .times = pins_per_sample};
}

// A pin that stays where it was made.
struct Kept {
  Kept(vfio::User& user, iommu::IovaRange range) : pin(user.pin(range, iommu::Access::read_write)) {}

  Result<iommu::DmaPin> pin;
};

// The same without the end of the pin.
Operation only_pinning(vfio::User& user, std::size_t places) {
  const auto kept = std::make_shared<std::vector<Kept>>();
  kept->reserve(pins_kept);
  return {.run =
              [&user, kept, walk = Walk(places)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) {
                  const iommu::IovaRange range{.iova = walk.next() * mapping_stride,
                                               .size = iommu::page_size};
                  const Kept& last = kept->emplace_back(user, range);
                  if (!last.pin) give_up("a pin", last.pin.error());
                }
              },
          .times = pins_kept,
          .clean_up = [kept] { kept->clear(); }};
}

struct alignas(64) Count {
  std::atomic<std::uint32_t> value = 0;
};

// The least that a pin has to do: count itself in and out, where its mapping is.
Operation counting(std::vector<Count>& counts, std::size_t places) {
  return {.run =
              [&counts, walk = Walk(places)](std::size_t times) mutable {
                for (std::size_t i = 0; i < times; ++i) {
                  Count& count = counts[walk.next()];
                  count.value.fetch_add(1);
                  count.value.fetch_sub(1);
                }
              },
          .times = pins_per_sample};
}

void pins(const Effort& effort, Report& report, const World::OpenDevice& device) {
  const auto iommu = must(device.container->iommu(), "the IOMMU");
  const auto memory = std::make_shared<Memory>();
  vfio::User& user = device.file->user();
  std::size_t mapped = 0;
  for (const std::size_t places : mapping_counts) {
    for (; mapped < places; ++mapped)
      must(iommu->map({.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                       .iova = mapped * mapping_stride,
                       .size = mapping_size,
                       .vaddr = 0,
                       .backing = memory,
                       .backing_offset = 0}),
           "MAP_DMA");
    std::vector<Count> counts(places);
    const auto rows = [&](const std::string& where, std::size_t walked) {
      const std::array operations{counting(counts, walked), only_pinning(user, walked),
                                  pinning(user, walked)};
      const auto samples = measure(effort, operations);
      report.add(cost_row("two atomic additions, " + where, samples[0]));
      report.add(cost_row("translate and pin, " + where, samples[1]));
      report.add(cost_row("pin and unpin, " + where, samples[2], samples.data()));
    };
    if (places == mapping_counts.front()) rows("always the same place", 1);
    rows(fmt::format("{} places at random", places), places);
  }
}

Operation raising(vfio::User& user) {
  return {.run =
              [&user](std::size_t times) {
                for (std::size_t i = 0; i < times; ++i) user.irqs().raise(abi::vfio_pci_msi_irq_index);
              },
          .times = raises_per_sample};
}

Operation writing(int eventfd) {
  return {.run =
              [eventfd](std::size_t times) {
                const std::uint64_t one = 1;
                for (std::size_t i = 0; i < times; ++i)
                  if (::write(eventfd, &one, sizeof one) != sizeof one) give_up("an eventfd");
              },
          .times = raises_per_sample};
}

void interrupts(const Effort& effort, Report& report, const World::OpenDevice& device) {
  const os::UniqueFd bare(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const os::UniqueFd client(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bare || !client) give_up("an eventfd");
  std::array<os::UniqueFd, 1> lent{must(client.dup(), "an eventfd")};
  vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                           .index = abi::vfio_pci_msi_irq_index,
                           .start = 0,
                           .count = 1,
                           .bools = {},
                           .eventfds = lent};
  must(device.file->set_irqs(request), "SET_IRQS");
  const auto watch = must(os::WriteWatch::start(), "a watch over writes");
  const std::array operations{writing(bare.get()), raising(device.file->user())};
  const auto samples = measure(effort, operations);
  std::uint64_t raised = 0;
  if (::read(client.get(), &raised, sizeof raised) != sizeof raised) give_up("no interrupt arrived");
  report.add(cost_row("write() to an eventfd that nobody waits for", samples[0]));
  report.add(cost_row("raise an MSI vector", samples[1], samples.data()));
}

// What the histograms of `umdev metrics` cost a vfio-user message that is timed.
void timing(const Effort& effort, Report& report) {
  const auto loop = must(os::EventLoop::create(), "a loop");
  const auto histogram = std::make_unique<Histogram>();
  const Clock& clock = *loop;
  const Operation looking{.run =
                              [&clock](std::size_t times) {
                                for (std::size_t i = 0; i < times; ++i) (void)clock.now();
                              },
                          .times = raises_per_sample};
  const Operation timed{.run =
                            [&clock, &histogram](std::size_t times) {
                              for (std::size_t i = 0; i < times; ++i) {
                                const Time begun = clock.now();
                                histogram->record_alone(clock.now() - begun);
                              }
                            },
                        .times = raises_per_sample};
  const std::array operations{looking, timed};
  const auto samples = measure(effort, operations);
  report.add(cost_row("a look at the clock", samples[0]));
  report.add(cost_row("time a message", samples[1], samples.data()));
}

}  // namespace

void measure_core(const Effort& effort, Report& report) {
  World world;
  const auto device = world.open(world.add("pinning", std::make_unique<PinningDevice>()));
  const Pin pin(widest_placement().near);
  report.section("A device uses its user's memory and interrupts");
  pins(effort, report, device);
  interrupts(effort, report, device);
  report.section("Keeping an eye on a message");
  timing(effort, report);
}

}  // namespace umdev::bench
