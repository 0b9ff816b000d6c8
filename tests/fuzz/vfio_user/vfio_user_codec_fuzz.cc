// Any bytes, in any pieces, through the frame assembler and every decoder.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "umdev/support/assert.h"
#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/messages.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user {
namespace {

// What matters is that decoding ends, and touches nothing else.
void use(const auto& /*decoded*/) {}

void decode_as_everything(ConstBytes payload) {
  const Limits limits;
  use(decode_dma_map(payload));
  use(decode_dma_unmap(payload));
  use(decode_device_info(payload));
  use(decode_region_info(payload));
  use(decode_irq_info(payload));
  use(decode_irq_set(payload));
  if (const auto bitmap = decode_unmap_bitmap(payload, limits.bitmap))
    UMDEV_ASSERT(bitmap->size <= limits.bitmap, "a larger bitmap than any may be");
  use(decode_region_io_fds(payload));
  use(decode_feature(payload));
  if (const auto data = decode_mig_data_read(payload, limits.data_transfer))
    UMDEV_ASSERT(data->size <= limits.data_transfer, "more of a stream than was agreed on");
  if (const auto data = decode_mig_data_write(payload, limits.data_transfer))
    UMDEV_ASSERT(data->size() <= payload.size(), "more of a stream than came");
  if (const auto writes = decode_write_multi(payload, limits.writes_per_message))
    UMDEV_ASSERT(writes->entries.size() == writes->count * sizeof(abi::VfioUserWriteEntry),
                 "not as many writes as it says");
  use(decode_region_read(payload, limits.data_transfer));
  if (const auto write = decode_region_write(payload, limits.data_transfer))
    UMDEV_ASSERT(write->data.size() == write->fixed.count, "a write with other data than it says");
  if (const auto version = decode_version(payload, limits))
    UMDEV_ASSERT(decode_version(encode_version(*version), limits), "our own VERSION is refused");
}

void cut_into_messages(ConstBytes rest) {
  const std::size_t size = rest.size();
  FrameAssembler assembler(2048, 64);
  std::size_t total = 0;
  while (!rest.empty()) {
    const std::size_t piece = 1 + static_cast<std::size_t>(rest[0]) % 97;
    const Bytes space = assembler.space();
    const std::size_t count = std::min({rest.size(), piece, space.size()});
    std::ranges::copy(rest.first(count), space.begin());
    assembler.commit(count);
    rest = rest.subspan(count);
    for (;;) {
      const auto frame = assembler.next();
      if (!frame) return;
      if (!*frame) break;
      total += (*frame)->header.size;
      UMDEV_ASSERT(total <= size, "more came out than went in");
      decode_as_everything((*frame)->payload);
    }
  }
  UMDEV_ASSERT(total + assembler.pending() == size, "bytes were lost");
}

}  // namespace
}  // namespace umdev::vfio_user

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const umdev::ConstBytes input = std::as_bytes(std::span(data, size));
  umdev::vfio_user::decode_as_everything(input);
  umdev::vfio_user::cut_into_messages(input);
  return 0;
}
