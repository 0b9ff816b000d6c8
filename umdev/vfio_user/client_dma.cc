#include "umdev/vfio_user/client_dma.h"

#include <algorithm>

#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {
namespace {

constexpr std::size_t head_size = sizeof(abi::VfioUserDmaAccess);
// Below that, a copy costs less.
constexpr std::size_t worth_borrowing = 4096;

}  // namespace

void ClientDma::lend(std::uint64_t iova, Bytes memory, bool readable, bool writable) {
  lent_[iova] = {.memory = memory, .readable = readable, .writable = writable};
}

void ClientDma::take_back(std::uint64_t iova, std::uint64_t size, ClientStream& stream) {
  for (auto lent = lent_.begin(); lent != lent_.end();) {
    if (lent->first < iova || lent->first - iova >= size) {
      ++lent;
      continue;
    }
    stream.assembler().abandon(lent->second.memory);
    stream.outbox().keep(lent->second.memory);
    lent = lent_.erase(lent);
  }
}

// Within one piece: a server asks for what lies in one mapping.
Result<Bytes> ClientDma::find(std::uint64_t iova, std::uint64_t size, bool write) const {
  auto lent = lent_.upper_bound(iova);
  if (lent == lent_.begin()) return fail(EFAULT, "nothing is lent there");
  --lent;
  const auto& [begin, piece] = *lent;
  if (!range_fits(iova - begin, size, piece.memory.size())) return fail(EFAULT, "nothing is lent there");
  if (write ? !piece.writable : !piece.readable) return fail(EPERM, "not lent for that");
  return piece.memory.subspan(iova - begin, size);
}

void ClientDma::serve(const Frame& command, ClientStream& stream) {
  Result<> served = fail(ENOSYS, "a command that no server has for a client");
  if (command.header.command == abi::vfio_user_dma_read) served = read(command, stream);
  if (command.header.command == abi::vfio_user_dma_write) served = write(command, stream);
  if (served || !wants_reply(command.header)) return;
  const abi::VfioUserHeader refusal = make_error_reply(command.header, served.error().code);
  stream.outbox().send({bytes_of(refusal)});
}

Result<> ClientDma::read(const Frame& command, ClientStream& stream) {
  const auto asked = load_struct<abi::VfioUserDmaAccess>(command.payload);
  if (!asked || command.payload.size() != head_size) return fail(EINVAL, "a malformed DMA_READ");
  if (asked->count > message_data_) return fail(E2BIG, "more data than was agreed on");
  const Bytes memory = UMDEV_TRY(find(asked->iova, asked->count, false));
  const abi::VfioUserHeader header = make_reply(command.header, head_size + memory.size());
  if (memory.size() >= worth_borrowing)
    stream.outbox().send_borrowed({bytes_of(header), bytes_of(*asked)}, memory);
  else
    stream.outbox().send({bytes_of(header), bytes_of(*asked), memory});
  return {};
}

Result<> ClientDma::write(const Frame& command, ClientStream& stream) {
  const auto asked = load_struct<abi::VfioUserDmaAccess>(command.payload);
  if (!asked || command.payload.size() - head_size + command.diverted != asked->count)
    return fail(EINVAL, "a malformed DMA_WRITE");
  if (asked->count > message_data_) return fail(E2BIG, "more data than was agreed on");
  const Bytes memory = UMDEV_TRY(find(asked->iova, asked->count, true));
  if (command.diverted == 0) std::ranges::copy(command.payload.subspan(head_size), memory.begin());
  if (!wants_reply(command.header)) return {};
  const abi::VfioUserHeader header = make_reply(command.header, head_size);
  stream.outbox().send({bytes_of(header), bytes_of(*asked)});
  return {};
}

void ClientDma::offer(ClientStream& stream) {
  const auto partial = stream.assembler().partial(head_size);
  if (!partial || !is_command(partial->header) || partial->header.command != abi::vfio_user_dma_write) return;
  const auto asked = load_struct<abi::VfioUserDmaAccess>(partial->payload);
  if (asked->count > message_data_ ||
      partial->header.size != sizeof partial->header + head_size + asked->count)
    return;
  if (const auto memory = find(asked->iova, asked->count, true))
    stream.assembler().divert(head_size, *memory);
}

}  // namespace umdev::vfio_user
