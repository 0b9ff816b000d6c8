#include "drivers/ioat/worker.h"

#include <algorithm>
#include <utility>

namespace umdev::ioat {

void Worker::start(Gate::Pass pass) {
  pass_ = std::move(pass);
  post();
}

void Worker::post() {
  host_.post([this] {
    descriptors_left_ = descriptors_per_turn;
    bytes_left_ = bytes_per_turn;
    run();
  });
}

void Worker::run() {
  for (;;) {
    switch (stage_) {
      case Stage::idle: {
        if (descriptors_left_ == 0 || bytes_left_ == 0) return post();
        // The source may start the worker again as soon as it rests, so the pass is taken out first. When it
        // goes, the device may go too.
        Gate::Pass pass = std::move(pass_);
        if (!source_.begin(channel_, address_)) return;
        pass_ = std::move(pass);
        if (!fetch()) return;
        break;
      }
      case Stage::fetched:
        if (!move()) return;
        break;
      case Stage::moved:
        if (!write_completion()) return;
        break;
      case Stage::completed:
        stage_ = Stage::idle;
        source_.finish(channel_, descriptor_, error_);
        break;
    }
  }
}

// What has not ended when `begin` returns goes on in a turn of its own: nothing here may be touched then.
template <typename Begin>
bool Worker::await(Begin begin) {
  await_.store(Await::starting, std::memory_order_relaxed);
  begin();
  return await_.exchange(Await::parked, std::memory_order_acq_rel) == Await::ended;
}

void Worker::ended(std::uint32_t error) {
  error_ |= error;
  if (await_.exchange(Await::ended, std::memory_order_acq_rel) == Await::parked) post();
}

bool Worker::fetch() {
  stage_ = Stage::fetched;
  error_ = 0;
  descriptor_ = {};
  if (address_ % spec::descriptor_size != 0) {
    error_ = spec::chanerr_next_desc_align;
    return true;
  }
  if (!source_.is_bus_master()) {
    error_ = spec::chanerr_read_data;
    return true;
  }
  return await([this] {
    source_.user().dma_read(address_, bytes_,
                            [this](Result<> read) { ended(read ? 0 : spec::chanerr_read_data); });
  });
}

bool Worker::move() {
  stage_ = Stage::moved;
  if (error_ != 0) return true;
  descriptor_ = Descriptor::from(bytes_);
  error_ = descriptor_.error();
  if (error_ != 0) return true;
  --descriptors_left_;
  bytes_left_ -= std::min<std::uint64_t>(bytes_left_, descriptor_.size);
  return await(
      [this] { mover_.move(source_.user(), descriptor_, [this](std::uint32_t error) { ended(error); }); });
}

bool Worker::write_completion() {
  stage_ = Stage::completed;
  const auto completion = source_.completion(channel_, descriptor_, error_);
  if (!completion || !source_.is_bus_master()) return true;
  completion_ = *completion;
  return await([this] {
    source_.user().dma_write(completion_.address, bytes_of(completion_.status), [this](Result<> written) {
      ended(written ? 0 : spec::chanerr_completion_addr);
    });
  });
}

}  // namespace umdev::ioat
