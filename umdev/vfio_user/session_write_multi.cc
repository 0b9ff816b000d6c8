// REGION_WRITE_MULTI: many small writes in one message.
#include <algorithm>
#include <cstring>

#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

using abi::VfioUserWriteEntry;

// The message is checked as a whole before anything is written; each entry, like a write of its own, when it
// is its turn.
Result<> Session::region_write_multi(const Frame& frame) {
  if (!agreed_.write_multiple) return fail(ENOTTY, "REGION_WRITE_MULTI was not agreed on");
  const auto [count, entries] =
      UMDEV_TRY(decode_write_multi(frame.payload, world_.limits->writes_per_message));
  writes_ = {.count = count, .done = 0};
  last_cost_ = std::max(count, 1U);
  // (As bytes one by one, std::ranges::copy takes a twelfth of all the time that a write does.)
  if (!entries.empty())
    std::memcpy(operation_->buffer(entries.size()).data(), entries.data(), entries.size());
  write_on();
  return {};
}

// Does the writes that are left, until the device has to be waited for. Ends with the reply.
void Session::write_on() {
  while (writes_.done != writes_.count) {
    const ConstBytes entry = operation_->buffered().subspan(writes_.done * sizeof(VfioUserWriteEntry));
    const auto head = *load_struct<VfioUserWriteEntry>(entry);
    start(Pending::write_multi);
    if (head.count > abi::vfio_user_write_entry_data) {
      operation_->complete(fail(EINVAL, "a write of more bytes than its entry has"));
    } else {
      device_->write(head.region, head.offset, entry.subspan(offsetof(VfioUserWriteEntry, data), head.count),
                     *operation_);
    }
    if (!call_returned() || !wrote(head.count)) return;
  }
  answer_writes();
}

// The device has answered the write that was waited for.
void Session::write_answered() {
  const ConstBytes entry = operation_->buffered().subspan(writes_.done * sizeof(VfioUserWriteEntry));
  if (wrote(load_struct<VfioUserWriteEntry>(entry)->count)) write_on();
}

// Looks at the answer to the write of `count` bytes that was under way. False when it ended the message:
// those before it have been done, so its error is told only when there are none.
bool Session::wrote(std::uint32_t count) {
  const Result<std::uint64_t>& result = operation_->result();
  if (result && *result >= count) [[likely]] {
    ++writes_.done;
    return true;
  }
  const Error error = result ? Error{EIO, "the device did not take all of a write"} : result.error();
  // The driver may look at the buffer yet.
  operation_ = std::make_shared<Operation>(mailbox_);
  if (writes_.done != 0) {
    world_.counters->error(error.code).add();
    answer_writes();
    return false;
  }
  pending_ = Pending::nothing;
  refuse(error);
  return false;
}

void Session::answer_writes() {
  pending_ = Pending::nothing;
  const abi::VfioUserWriteMulti answer{.count = writes_.done};
  reply(bytes_of(answer));
}

}  // namespace umdev::vfio_user
