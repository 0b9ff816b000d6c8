// Memory that a client lends without a file, and the server's DMA_READ and DMA_WRITE of it.
#pragma once

#include <cstdint>
#include <map>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/vfio_user/client_stream.h"

namespace umdev::vfio_user {

// Not thread-safe.
class ClientDma {
 public:
  // The memory stays the caller's, and must live until take_back(). Whether ranges overlap is the server's
  // to say.
  void lend(std::uint64_t iova, Bytes memory, bool readable, bool writable);
  // What lies in the range is not touched any more when this returns.
  void take_back(std::uint64_t iova, std::uint64_t size, ClientStream& stream);

  // The most data of one message: more is E2BIG.
  void set_message_data(std::uint32_t size) { message_data_ = size; }

  // Answers a command of the server's: DMA_READ, DMA_WRITE, ENOSYS for all others. EFAULT nothing is lent
  // there; EPERM not for this access.
  void serve(const Frame& command, ClientStream& stream);
  // Has the data of a DMA_WRITE that has come in part received where they belong.
  void offer(ClientStream& stream);

 private:
  struct Lent {
    Bytes memory;
    bool readable = false;
    bool writable = false;
  };
  Result<Bytes> find(std::uint64_t iova, std::uint64_t size, bool write) const;
  Result<> read(const Frame& command, ClientStream& stream);
  Result<> write(const Frame& command, ClientStream& stream);

  std::map<std::uint64_t, Lent> lent_;
  std::uint32_t message_data_ = 1U << 20;
};

}  // namespace umdev::vfio_user
