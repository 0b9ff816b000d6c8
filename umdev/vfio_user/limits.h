// Every limit of this door, in one table. What a client can make grow is bounded here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "umdev/abi/vfio_user.h"

namespace umdev::vfio_user {

struct Limits {
  // The data of one REGION_READ or REGION_WRITE: max_data_xfer_size of VERSION. QEMU reads the whole config
  // space in one message and refuses more than 64 MiB.
  std::uint32_t data_transfer = 1U << 20;
  // Descriptors of one message: max_msg_fds of VERSION. QEMU refuses a server that takes more than 16.
  std::uint32_t fds_per_message = 16;
  // Mappings of one session: max_dma_maps of VERSION, the kernel's dma_entry_limit. QEMU refuses more.
  std::uint32_t dma_maps = 65535;

  // Writes of one REGION_WRITE_MULTI. QEMU sends 200 at most.
  std::uint32_t writes_per_message = 1024;
  // A dirty bitmap that goes with a DMA_UNMAP: max_bitmap_size of VERSION. The reply is a message like
  // others.
  std::uint32_t bitmap = (1U << 20) - 64;

  // The JSON text of VERSION: bytes, and how deep objects and arrays may nest.
  std::size_t version_text = 16384;
  std::size_t version_depth = 8;
  // How long a connection may stay without a VERSION. Clients that mean it speak at once.
  std::chrono::nanoseconds version_deadline = std::chrono::seconds(10);
  // How long VERSION waits for the device's user before it, who may be dead already without us having seen
  // it, and how often it looks. QEMU waits 5 s for an answer.
  std::chrono::nanoseconds busy_grace = std::chrono::milliseconds(500);
  std::chrono::nanoseconds busy_poll = std::chrono::milliseconds(10);

  // Connections of one socket at a time; more are closed at once.
  std::uint32_t sessions_per_endpoint = 16;
  // The receive buffer: what one receive takes at most, and so how many messages wait in a session. It grows
  // to the size of one larger message while that arrives.
  std::size_t receive_buffer = 16384;
  // Messages of one session that are handled before the other sessions of its worker have their turn; each
  // write of a REGION_WRITE_MULTI counts as one.
  std::uint32_t messages_per_turn = 128;
  // Replies that wait to be sent: above the first no further message is handled, above the second (replies
  // cannot lead there) the connection is closed.
  std::size_t output_high_water = 1U << 17;
  std::size_t output_max = 1U << 22;

  // DMA_READ and DMA_WRITE: accesses of a session that a device may have under way (more are EAGAIN), their
  // messages that may be on the way to the client or its replies to us, and how long a device waits for one:
  // QEMU gives us 5 s for ours.
  std::uint32_t dma_transfers = 64;
  std::uint32_t dma_messages = 8;
  std::chrono::nanoseconds dma_deadline = std::chrono::seconds(5);
  // How long such an access may wait for a reply that we owe to the client, before it counts as waited for by
  // that reply.
  std::chrono::nanoseconds dma_patience = std::chrono::milliseconds(500);
  // Commands that wait in a session while it is busy and replies behind them are read: bytes, and how many.
  // Beyond them nothing is read.
  std::size_t backlog = 1U << 17;
  std::size_t backlog_messages = 1024;

  // Memory of clients. Mappings of files, for the whole daemon and for one session: a process has about
  // 65,000 mappings, and what is taken away from a client in place splits them. Bytes of address space, for
  // the whole daemon (it has 128 TiB) and for one session.
  std::uint32_t file_mappings = 16384;
  std::uint32_t file_mappings_per_session = 1024;
  std::uint64_t mapped_bytes = 1ULL << 46;
  std::uint64_t mapped_bytes_per_session = 1ULL << 43;
  // A file up to this size is mapped as a whole when its first piece is lent; of a larger one each piece is
  // mapped by itself.
  std::uint64_t whole_file = 1ULL << 40;

  // A session that goes to another place, as a stream: nearly all of it is its mappings, and bytes that wait.
  std::size_t moved_session = 1U << 24;

  // The largest message: data, the header, and the 16 bytes that stand before data.
  std::size_t message() const {
    return std::size_t{data_transfer} + sizeof(abi::VfioUserHeader) + sizeof(abi::VfioUserRegionAccess);
  }
};

}  // namespace umdev::vfio_user
