// REGION_WRITE_MULTI: many small writes in one message.
#include <algorithm>

#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

// The message is checked as a whole before anything is written; each entry, like a write of its own, when it
// is its turn.
Result<> Session::region_write_multi(const Frame& frame) {
  if (!agreed_.write_multiple) return fail(ENOTTY, "REGION_WRITE_MULTI was not agreed on");
  const auto [count, entries] =
      UMDEV_TRY(decode_write_multi(frame.payload, world_.limits->writes_per_message));
  writes_ = {.count = count, .done = 0};
  last_cost_ = std::max(count, 1U);
  std::ranges::copy(entries, operation_->buffer(entries.size()).begin());
  write_on();
  return {};
}

// Does the writes that are left, until the device has to be waited for. Ends with the reply.
void Session::write_on() {
  constexpr std::size_t entry_size = sizeof(abi::VfioUserWriteEntry);
  while (writes_.done != writes_.count) {
    const ConstBytes entry = operation_->buffered().subspan(writes_.done * entry_size, entry_size);
    const auto head = *load_struct<abi::VfioUserWriteEntry>(entry);
    start(Pending::write_multi);
    if (head.count > abi::vfio_user_write_entry_data) {
      operation_->complete(fail(EINVAL, "a write of more bytes than its entry has"));
    } else {
      device_->write(head.region, head.offset,
                     entry.subspan(offsetof(abi::VfioUserWriteEntry, data), head.count), operation_,
                     [operation = operation_.get()](Result<std::size_t> done) { operation->complete(done); });
    }
    if (!call_returned()) return;
    if (!wrote_one()) return;
  }
  answer_writes();
}

// Looks at the answer to the write that was under way. False when it ended the message: those before it have
// been done, so its error is told only when there are none.
bool Session::wrote_one() {
  Result<std::uint64_t> result = operation_->result();
  const ConstBytes entry = operation_->buffered().subspan(writes_.done * sizeof(abi::VfioUserWriteEntry));
  if (result && *result < load_struct<abi::VfioUserWriteEntry>(entry)->count)
    result = fail(EIO, "the device did not take all of a write");
  if (result) {
    ++writes_.done;
    return true;
  }
  // The driver may look at the buffer yet.
  operation_ = std::make_shared<Operation>(mailbox_);
  if (writes_.done != 0) {
    world_.counters->error(result.error().code).add();
    answer_writes();
    return false;
  }
  pending_ = Pending::nothing;
  refuse(result.error());
  return false;
}

void Session::answer_writes() {
  pending_ = Pending::nothing;
  const abi::VfioUserWriteMulti answer{.count = writes_.done};
  reply(bytes_of(answer));
}

}  // namespace umdev::vfio_user
