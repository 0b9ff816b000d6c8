#include "umdev/fuse/pending.h"

#include <vector>

namespace umdev::fuse {

// The entry stays in the table, and so alive, until the one who answers it has done so.
template <typename Reply>
void PendingRequests::answer(Entry& entry, Reply reply) {
  if (entry.answered.exchange(true)) return;
  // Waits for an interrupt that is being delivered, which finds nothing to do.
  fuse_req_interrupt_func(entry.request, nullptr, nullptr);
  reply(entry.request);
  entry.owner->forget(entry);
}

std::shared_ptr<PendingRequests::Entry> PendingRequests::add(fuse_req_t request) {
  auto entry = std::make_shared<Entry>(shared_from_this(), request);
  {
    Lock lock(mutex_);
    entries_.emplace(entry.get(), entry);
  }
  fuse_req_interrupt_func(request, &on_interrupt, entry.get());
  entry->being_added = false;
  if (entry->interrupted_early) answer(*entry, [](fuse_req_t req) { fuse_reply_err(req, EINTR); });
  return entry;
}

void PendingRequests::forget(Entry& entry) {
  std::shared_ptr<Entry> unused;
  Lock lock(mutex_);
  const auto found = entries_.find(&entry);
  unused = std::move(found->second);
  entries_.erase(found);
  if (entries_.empty()) changed_.notify_all();
}

void PendingRequests::on_interrupt(fuse_req_t request, void* data) {
  auto& entry = *static_cast<Entry*>(data);
  // Called from within fuse_req_interrupt_func(), which goes on to use the request.
  if (entry.being_added) {
    entry.interrupted_early = true;
    return;
  }
  if (entry.answered.exchange(true)) return;
  fuse_reply_err(request, EINTR);
  entry.owner->forget(entry);
}

Done<std::string> PendingRequests::expect_read(fuse_req_t request) {
  return [entry = add(request)](Result<std::string> text) {
    answer(*entry, [&](fuse_req_t req) {
      if (text)
        fuse_reply_buf(req, text->data(), text->size());
      else
        fuse_reply_err(req, text.error().code);
    });
  };
}

Done<std::size_t> PendingRequests::expect_write(fuse_req_t request) {
  return [entry = add(request)](Result<std::size_t> count) {
    answer(*entry, [&](fuse_req_t req) {
      if (count)
        fuse_reply_write(req, *count);
      else
        fuse_reply_err(req, count.error().code);
    });
  };
}

Done<std::int32_t> PendingRequests::expect_ioctl(fuse_req_t request) {
  return [entry = add(request)](Result<std::int32_t> value) {
    answer(*entry, [&](fuse_req_t req) {
      if (value)
        fuse_reply_ioctl(req, *value, nullptr, 0);
      else
        fuse_reply_err(req, value.error().code);
    });
  };
}

void PendingRequests::end() {
  std::vector<std::shared_ptr<Entry>> left;
  {
    Lock lock(mutex_);
    for (const auto& [key, entry] : entries_) left.push_back(entry);
  }
  for (const auto& entry : left) answer(*entry, [](fuse_req_t request) { fuse_reply_err(request, ENODEV); });
  Lock lock(mutex_);
  while (!entries_.empty()) changed_.wait(mutex_);
}

}  // namespace umdev::fuse
