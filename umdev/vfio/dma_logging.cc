#include "umdev/vfio/dma_logging.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "umdev/abi/migration.h"
#include "umdev/support/assert.h"
#include "umdev/vfio/driver_call.h"

namespace umdev::vfio {

// The device's own log ends with its close.
DmaLogging::~DmaLogging() {
  detach();
}

Result<std::vector<std::byte>> DmaLogging::start(ConstBytes data) {
  const auto control = load_struct<abi::VfioDmaLoggingStart>(data);
  if (!control) return fail(EINVAL, "the data of DMA_LOGGING_START are too short");
  if (control->num_ranges == 0) return fail(EINVAL, "no range to log");
  if (control->num_ranges > limits_.dirty_ranges) return fail(E2BIG, "too many ranges to log");
  std::vector<iommu::IovaRange> ranges;
  for (std::size_t i = 0; i < control->num_ranges; ++i) {
    const auto range =
        load_struct<abi::VfioDmaLoggingRange>(data, sizeof *control + i * sizeof(abi::VfioDmaLoggingRange));
    if (!range) return fail(EINVAL, "fewer ranges to log than were announced");
    ranges.push_back({.iova = range->iova, .size = range->length});
  }
  auto log = UMDEV_TRY(iommu::DirtyLog::create(ranges, control->page_size, limits_.dirty_ranges));
  std::uint64_t page_size = iommu::page_size;
  if (own_ != nullptr) {
    std::ranges::sort(ranges, {}, &iommu::IovaRange::iova);
    page_size = UMDEV_TRY(driver_call([&] { return own_->start_dma_log(ranges, control->page_size); }));
    detach();  // whether it may begin anew is the device's to say
  }
  {
    Lock lock(mutex_);
    if (log_) return fail(EINVAL, "the device's DMA is logged already");
    log_ = log;
    tracker_->attach(std::move(log));
  }

  const ConstBytes given = data.first(sizeof *control + ranges.size() * sizeof(abi::VfioDmaLoggingRange));
  std::vector<std::byte> answer(given.begin(), given.end());
  const bool stored = store_le(Bytes(answer), offsetof(abi::VfioDmaLoggingStart, page_size), page_size);
  UMDEV_ASSERT(stored, "the answer is as long as the request");
  return answer;
}

Result<> DmaLogging::stop() {
  if (own_ != nullptr) UMDEV_TRY(driver_call([&] { return own_->stop_dma_log(); }));
  detach();
  return {};
}

void DmaLogging::detach() {
  Lock lock(mutex_);
  if (!log_) return;
  tracker_->detach(*log_);
  log_.reset();
}

Result<std::vector<std::byte>> DmaLogging::report(ConstBytes data, std::uint64_t room) {
  const auto asked = load_struct<abi::VfioDmaLoggingReport>(data);
  if (!asked) return fail(EINVAL, "the data of DMA_LOGGING_REPORT are too short");
  const iommu::IovaRange range{.iova = asked->iova, .size = asked->length};
  UMDEV_TRY(iommu::DirtyLog::check_report(range, asked->page_size));
  const std::uint64_t size = iommu::dirty_bitmap_size(range.size, asked->page_size);
  if (size > limits_.dirty_bitmap_bytes || size > room - sizeof *asked)
    return fail(EINVAL, "the bitmap would be too large");
  std::shared_ptr<iommu::DirtyLog> log;
  {
    Lock lock(mutex_);
    log = log_;
  }
  if (!log && own_ == nullptr) return fail(EINVAL, "the device's DMA is not logged");
  std::vector<std::byte> answer(sizeof *asked + size);
  std::ranges::copy(bytes_of(*asked), answer.begin());
  const Bytes bitmap = Bytes(answer).subspan(sizeof *asked);
  // The device's first: after its error nothing of ours is forgotten.
  if (own_ != nullptr)
    UMDEV_TRY(driver_call([&] { return own_->read_dma_log(range, asked->page_size, bitmap); }));
  if (!log) return answer;
  tracker_->mark_held(*log);
  UMDEV_TRY(log->report(range, asked->page_size, bitmap));
  return answer;
}

}  // namespace umdev::vfio
