#include "umdev/manage/kept_states.h"

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>

#include "umdev/manage/moved_instance.h"
#include "umdev/manage/restore.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::manage {
namespace {

std::string named(const DefinitionKey& key) {
  return key.uuid.to_string() + " of " + key.parent;
}

// A device that does not take its state back is as new: it is no reason to refuse its user.
class KeptArrival final : public vfio::Arrival {
 public:
  KeptArrival(std::shared_ptr<const MovedInstance> moved, Log& log) : moved_(std::move(moved)), log_(log) {}

  // ^vfio::Arrival
  void restore(const std::shared_ptr<vfio::DeviceFile>& file, Done<> done) override {
    struct Restoring {
      std::shared_ptr<vfio::DeviceFile> file;
      std::string name;
      Log& log;
      Done<> done;
    };
    auto restoring =
        std::make_shared<Restoring>(Restoring{.file = file,
                                              .name = named({.parent = moved_->parent, .uuid = moved_->uuid}),
                                              .log = log_,
                                              .done = std::move(done)});
    manage::restore(moved_, file, vfio::MigrationState::running, [restoring](Result<> restored) {
      if (restored) return restoring->done({});
      restoring->log.warning("the state kept of " + restoring->name + " is not taken by its driver: " +
                             std::string(restored.error().text) + "; it begins anew");
      restoring->file->reset([restoring](Result<> reset) { restoring->done(std::move(reset)); });
    });
  }

 private:
  const std::shared_ptr<const MovedInstance> moved_;
  Log& log_;
};

}  // namespace

// What is being saved together. The last one ends it.
struct KeptStates::Saving {
  std::vector<DefinitionKey> keys;
  Done<> done;
  std::atomic<std::size_t> left;
};

void KeptStates::save(std::vector<DefinitionKey> keys, Done<> done) {
  if (keys.empty()) return done({});
  const std::size_t count = keys.size();
  const auto saving = std::make_shared<Saving>(std::move(keys), std::move(done), count);
  for (std::size_t i = 0; i < count; ++i)
    mover_.save(saving->keys[i].uuid, Clients::leave, [this, saving, i](Result<Departure> departure) {
      keep(saving->keys[i], departure);
      const auto ended = [saving](Result<>) {
        if (saving->left.fetch_sub(1) == 1) saving->done({});
      };
      if (!departure) return ended({});
      // Whoever has it open is told now, and not by a deadline.
      mover_.end(saving->keys[i].uuid, /*moved=*/true, ended);
    });
}

void KeptStates::keep(const DefinitionKey& key, const Result<Departure>& departure) {
  if (!departure) {
    // Most devices have nothing to keep, and their drivers say so.
    if (departure.error().code != EOPNOTSUPP)
      log_.warning("the state of " + named(key) + " is lost: " + std::string(departure.error().text));
    return;
  }
  const std::string_view text(reinterpret_cast<const char*>(departure->stream.data()),
                              departure->stream.size());
  if (const auto written = files_.write(key, text); !written)
    log_.warning("the state of " + named(key) + " is lost: " + std::string(written.error().text));
}

void KeptStates::bring_back(const mdev::Instance& instance) {
  const DefinitionKey key{.parent = instance.mdev_parent().name(), .uuid = instance.uuid()};
  const auto text = files_.read(key);
  if (!text) {
    if (text.error().code != ENOENT)
      log_.warning("the state kept of " + named(key) + " cannot be read: " + std::string(text.error().text));
    return;
  }
  forget(key);
  auto moved = moved_instance_of(std::as_bytes(std::span(*text)));
  const auto device = instance.vfio_device();
  if (!moved || !device || moved->uuid != key.uuid || moved->type != instance.type().id()) {
    log_.warning("the state kept of " + named(key) + " is not its own; it begins anew");
    return;
  }
  device->set_arrival(
      std::make_shared<KeptArrival>(std::make_shared<const MovedInstance>(std::move(*moved)), log_));
}

void KeptStates::forget(const DefinitionKey& key) {
  if (const auto removed = files_.remove(key); !removed && removed.error().code != ENOENT)
    log_.warning("the state kept of " + named(key) +
                 " cannot be removed: " + std::string(removed.error().text));
}

void KeptStates::tidy(const KeyedFiles& definitions) {
  const auto kept = files_.list();
  const auto defined = definitions.list();
  if (!kept || !defined) return;
  for (const DefinitionKey& key : kept->keys)
    if (!std::ranges::binary_search(defined->keys, key)) forget(key);
}

}  // namespace umdev::manage
