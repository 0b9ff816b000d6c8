#include "umdev/vfio/migration_helper.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace umdev::vfio {

// What a device sends: the stream as far as it has been written, and how far it was read.
class MigrationHelper::Saving final : public MigrationData {
 public:
  Saving(std::string_view identity, std::size_t stream_max) : writer_(identity, stream_max) {}

  Result<std::size_t> read(Bytes into) override {
    Lock lock(mutex_);
    const std::size_t count = std::min(into.size(), bytes_.size() - position_);
    std::ranges::copy(ConstBytes(bytes_).subspan(position_, count), into.begin());
    position_ += count;
    return count;
  }
  bool has_bytes() const override {
    Lock lock(mutex_);
    return position_ < bytes_.size();
  }
  Result<PrecopyInfo> precopy_info() const override {
    Lock lock(mutex_);
    return PrecopyInfo{.initial_bytes = bytes_.size() - position_, .dirty_bytes = 0};
  }

  // The arcs' side, one after another: write, then show what was written.
  StreamWriter& writer() { return writer_; }
  Result<> show() {
    const ConstBytes all = UMDEV_TRY(writer_.bytes());
    Lock lock(mutex_);
    bytes_.assign(all.begin(), all.end());
    return {};
  }

 private:
  StreamWriter writer_;
  mutable Mutex mutex_;
  std::vector<std::byte> bytes_ UMDEV_GUARDED_BY(mutex_);
  std::size_t position_ UMDEV_GUARDED_BY(mutex_) = 0;
};

// What a device receives.
class MigrationHelper::Resuming final : public MigrationData {
 public:
  Resuming(std::string identity, std::size_t stream_max)
      : identity_(std::move(identity)), stream_max_(stream_max) {}

  Result<std::size_t> write(ConstBytes from) override {
    Lock lock(mutex_);
    if (from.size() > stream_max_ - bytes_.size()) return fail(E2BIG, "the stream is larger than any state");
    const std::size_t before = bytes_.size();
    bytes_.insert(bytes_.end(), from.begin(), from.end());
    if (const auto checked = StreamReader::check_beginning(bytes_, identity_); !checked) {
      bytes_.resize(before);
      return std::unexpected(checked.error());
    }
    return from.size();
  }

  std::vector<std::byte> bytes() const {
    Lock lock(mutex_);
    return bytes_;
  }

 private:
  const std::string identity_;
  const std::size_t stream_max_;
  mutable Mutex mutex_;
  std::vector<std::byte> bytes_ UMDEV_GUARDED_BY(mutex_);
};

struct MigrationHelper::Arc {
  MigrationHelper* helper = nullptr;
  User* user = nullptr;
  MigrationState from = MigrationState::running;
  MigrationState to = MigrationState::running;
  Done<std::shared_ptr<MigrationData>> done;
};

void MigrationHelper::arc(User& user, MigrationState from, MigrationState to,
                          Done<std::shared_ptr<MigrationData>> done) {
  auto arc = std::make_shared<Arc>(this, &user, from, to, std::move(done));
  // A stream that cannot be loaded must not start the device.
  if (from == MigrationState::resuming) {
    if (const auto loaded = finish_resuming(user); !loaded) return arc->done(std::unexpected(loaded.error()));
  }
  on_arc(user, from, to, [arc](Result<> result) {
    if (!result) return arc->done(std::unexpected(result.error()));
    arc->helper->stopped_or_resumed(arc);
  });
}

void MigrationHelper::stopped_or_resumed(const std::shared_ptr<Arc>& arc) {
  auto data = transfer(*arc);
  // The device stands still already, and there is no arc back: only a reset helps.
  if (!data && is_saving(arc->from)) return arc->done(fail(ENOTRECOVERABLE, data.error().text));
  arc->done(std::move(data));
}

Result<std::shared_ptr<MigrationData>> MigrationHelper::transfer(const Arc& arc) {
  if (is_transferring(arc.from) && !is_transferring(arc.to)) {
    Lock lock(mutex_);
    saving_.reset();
    resuming_.reset();
  }
  if (arc.to == MigrationState::resuming) {
    Lock lock(mutex_);
    resuming_ = std::make_shared<Resuming>(options_.identity, options_.stream_max);
    return resuming_;
  }
  std::shared_ptr<MigrationData> begun;
  if (is_saving(arc.to) && !is_saving(arc.from)) begun = UMDEV_TRY(begin_saving(arc.to));
  if (arc.to == MigrationState::stop_copy) UMDEV_TRY(finish_saving());
  return begun;
}

Result<std::shared_ptr<MigrationData>> MigrationHelper::begin_saving(MigrationState to) {
  auto saving = std::make_shared<Saving>(options_.identity, options_.stream_max);
  if (is_pre_copy(to)) {
    UMDEV_TRY(save_precopy(saving->writer()));
    saving->writer().close();
    UMDEV_TRY(saving->show());
  }
  Lock lock(mutex_);
  saving_ = saving;
  return saving;
}

Result<> MigrationHelper::finish_saving() {
  std::shared_ptr<Saving> saving;
  {
    Lock lock(mutex_);
    saving = saving_;
  }
  UMDEV_TRY(save_final(saving->writer()));
  saving->writer().finish();
  return saving->show();
}

Result<> MigrationHelper::finish_resuming(User& user) {
  std::shared_ptr<Resuming> resuming;
  {
    Lock lock(mutex_);
    resuming = resuming_;
  }
  const std::vector<std::byte> bytes = resuming->bytes();
  StreamReader reader = UMDEV_TRY(StreamReader::open(bytes, options_.identity));
  return load(user, reader);
}

void MigrationHelper::ended(User& user) {
  std::shared_ptr<Saving> saving;
  std::shared_ptr<Resuming> resuming;
  {
    Lock lock(mutex_);
    std::swap(saving, saving_);
    std::swap(resuming, resuming_);
  }
  on_ended(user);
}

}  // namespace umdev::vfio
