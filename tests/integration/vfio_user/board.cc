#include "tests/integration/vfio_user/board.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace umdev::vfio_user::test {

void Board::read(vfio::ReadRequest request) {
  const Bytes data = request.data();
  switch (request.region()) {
    case board_ram:
      std::ranges::copy(ConstBytes(ram_).subspan(request.offset(), data.size()), data.begin());
      return request.complete_all();
    case board_shared: {
      const ssize_t count =
          ::pread(state_->shared.get(), data.data(), data.size(), static_cast<off_t>(request.offset()));
      return request.complete(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    }
    case board_slow: {
      const auto delay = std::chrono::milliseconds(state_->delay_milliseconds.load());
      auto slot = std::make_shared<vfio::ReadRequest>(std::move(request));
      Timer timer = clock_.after(delay, [slot] {
        std::ranges::fill(slot->data(), std::byte{0x51});
        slot->complete_all();
      });
      const std::scoped_lock lock(state_->mutex);
      state_->timers.push_back(std::move(timer));
      return;
    }
    case board_stuck: {
      const std::scoped_lock lock(state_->mutex);
      state_->stuck.push_back(std::move(request));
      return;
    }
    case board_dma:
      std::ranges::copy(ConstBytes(dma_result_).subspan(request.offset(), data.size()), data.begin());
      return request.complete_all();
    default:
      return request.complete(fail(EIO, "there is nothing to read"));
  }
}

void Board::write(vfio::WriteRequest request) {
  switch (request.region()) {
    case board_ram:
      state_->last_write = ++*state_->write_count;
      std::ranges::copy(request.data(), ram_.begin() + static_cast<std::ptrdiff_t>(request.offset()));
      return request.complete_all();
    case board_dma:
      return do_dma(std::move(request));
    case board_fill:
    case board_fetch:
      return transfer(std::move(request));
    case board_hold:
      return hold(std::move(request));
    case board_irq:
      request.user().irqs().raise(0);
      return request.complete_all();
    default:
      return request.complete(fail(EIO, "there is nothing to write"));
  }
}

void Board::set_code(int code) {
  std::memcpy(dma_result_.data(), &code, sizeof code);
}

Done<> Board::note() {
  set_code(EINPROGRESS);
  return [this](Result<> result) { set_code(result ? 0 : result.error().code); };
}

void Board::do_dma(vfio::WriteRequest request) {
  const auto iova = load_le<std::uint64_t>(request.data(), 0);
  if (!iova) return request.complete(fail(EINVAL, "an IOVA has 8 bytes"));
  request.user().dma_read(*iova, Bytes(dma_result_).subspan(4), note());
  request.complete_all();
}

void Board::transfer(vfio::WriteRequest request) {
  const auto iova = load_le<std::uint64_t>(request.data(), 0);
  const auto count = load_le<std::uint64_t>(request.data(), 8);
  if (!iova || !count || *count > ram_.size()) return request.complete(fail(EINVAL, "not a range"));
  if (request.region() == board_fill)
    request.user().dma_write(*iova, ConstBytes(ram_).first(*count), note());
  else
    request.user().dma_read(*iova, Bytes(ram_).first(*count), note());
  request.complete_all();
}

void Board::hold(vfio::WriteRequest request) {
  const auto iova = load_le<std::uint64_t>(request.data(), 0);
  if (!iova) return request.complete(fail(EINVAL, "an IOVA has 8 bytes"));
  auto pin = request.user().pin({*iova, page}, iommu::Access::read_write);
  if (!pin) return request.complete(std::unexpected(pin.error()));
  {
    const std::scoped_lock lock(state_->mutex);
    state_->held.push_back(std::move(*pin));
  }
  request.complete_all();
}

}  // namespace umdev::vfio_user::test
