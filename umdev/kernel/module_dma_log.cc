// A module's own log of its device's DMA: the callbacks of log_ops, as the core of VFIO asks them.
#include <linux/vfio.h>

#include <vector>

#include "include/umdev/kernel/umdev/migration.h"
#include "umdev/kernel/answer.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"

namespace umdev::kernel {
namespace {

// The tree that log_start is given; a call that takes too long goes on with it.
struct RangeTree {
  explicit RangeTree(std::span<const iommu::IovaRange> ranges) : nodes(ranges.size()) {
    // In their order one is the right child of the other: no balanced tree, but one.
    for (std::size_t n = 0; n < ranges.size(); ++n) {
      nodes[n].start = ranges[n].iova;
      nodes[n].last = ranges[n].last();
      if (n == 0) continue;
      nodes[n].rb.umdev_parent = &nodes[n - 1].rb;
      nodes[n - 1].rb.rb_right = &nodes[n].rb;
    }
    root.rb_root.rb_node = root.rb_leftmost = nodes.empty() ? nullptr : &nodes.front().rb;
  }
  RangeTree(const RangeTree&) = delete;
  RangeTree& operator=(const RangeTree&) = delete;
  ~RangeTree() = default;

  std::vector<::interval_tree_node> nodes;
  ::rb_root_cached root = {};
};

}  // namespace

Result<std::uint64_t> ModuleDevice::start_dma_log(std::span<const iommu::IovaRange> ranges,
                                                  std::uint64_t page_size) {
  auto tree = std::make_shared<RangeTree>(ranges);
  return record_->module().world().calls().ask(
      call_name("log_start"), [record = record_, tree, page_size](Call& call) -> Result<std::uint64_t> {
        const Inside inside(call, *record);
        umdev_u64 size = page_size;
        ::vfio_device* const object = record->object();
        UMDEV_TRY(to_result(object->log_ops->log_start(object, &tree->root,
                                                       static_cast<umdev_u32>(tree->nodes.size()), &size),
                            "the module's log_start failed"));
        return size;
      });
}

Result<> ModuleDevice::stop_dma_log() {
  return record_->module().world().calls().ask(
      call_name("log_stop"), [record = record_](Call& call) -> Result<> {
        const Inside inside(call, *record);
        return to_result(record->object()->log_ops->log_stop(record->object()),
                         "the module's log_stop failed");
      });
}

Result<> ModuleDevice::read_dma_log(iommu::IovaRange range, std::uint64_t page_size, Bytes bitmap) {
  // Whole words of a bitmap of its own: the call may outlive the caller's.
  auto bits = std::make_shared<std::vector<umdev_u64>>((bitmap.size() + 7) / 8);
  UMDEV_TRY(record_->module().world().calls().ask(
      call_name("log_read_and_clear"), [record = record_, bits, range, page_size](Call& call) -> Result<> {
        const Inside inside(call, *record);
        ::iova_bitmap seen = {.iova = range.iova,
                              .length = range.size,
                              .page_size = page_size,
                              .bits = bits->data(),
                              .data = nullptr};
        ::vfio_device* const object = record->object();
        return to_result(object->log_ops->log_read_and_clear(object, range.iova, range.size, &seen),
                         "the module's log_read_and_clear failed");
      }));
  const auto set = std::as_bytes(std::span(*bits));
  for (std::size_t n = 0; n < bitmap.size(); ++n) bitmap[n] |= set[n];
  return {};
}

}  // namespace umdev::kernel
