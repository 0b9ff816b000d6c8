// Inside of Client; included by this room's sources only.
#pragma once

#include <deque>
#include <memory>

#include "umdev/vfio_user/client.h"
#include "umdev/vfio_user/client_dma.h"
#include "umdev/vfio_user/client_stream.h"

namespace umdev::vfio_user {

// What is under way between a client and its server.
struct Client::State {
  explicit State(ClientChannel socket) : channel(std::move(socket)) {}

  // The next reply, whoever's it is; waits for it. Sends what is queued, serves the server.
  Result<Completion> next_completion();
  // Sends, waits until a socket is ready (ETIMEDOUT: a silence longer than the channel's), reads what is
  // there. `bell` is a descriptor that ends the wait when it is readable, or -1: true then.
  Result<bool> exchange(int bell = -1);
  // Handles what has been received.
  Result<> handle(ClientStream& stream);
  Result<> complete(const Frame& reply);
  bool all_sent();
  // Memory that was unmapped is not served any more.
  void forget(std::uint64_t iova, std::uint64_t size) {
    dma.take_back(iova, size, twin ? *twin : channel.stream());
  }

  ClientChannel channel;
  std::unique_ptr<ClientStream> twin;
  ClientDma dma;
  struct Outstanding {
    Ticket ticket = 0;
    std::uint16_t id = 0;
    std::uint16_t command = 0;
  };
  std::deque<Outstanding> outstanding;
  std::deque<Completion> completions;  // that came, not collected
  std::deque<Completion> collected;    // that a call passed over
  Ticket next_ticket = 1;
  std::uint16_t next_id = 1;
};

}  // namespace umdev::vfio_user
