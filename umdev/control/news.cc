#include "umdev/control/news.h"

#include <atomic>
#include <nlohmann/json.hpp>

#include "umdev/support/mutex.h"

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

Item to_item(const Json& json) {
  return std::make_shared<const std::string>(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// The mdev that the path leads to or through, and its parent: .../PARENT/UUID[/...].
void describe_mdev(std::string_view devpath, Json& into) {
  std::string_view parent;
  while (!devpath.empty()) {
    devpath.remove_prefix(1);  // the slash
    const std::string_view name = devpath.substr(0, devpath.find('/'));
    if (Uuid::parse(name)) {
      into["uuid"] = name;
      into["parent"] = parent;
      return;
    }
    parent = name;
    devpath.remove_prefix(name.size());
  }
}

Item describe(const device::Uevent& event) {
  Json json{{"event", to_string(event.action)},
            {"seqnum", event.sequence},
            {"devpath", event.devpath},
            {"subsystem", event.subsystem}};
  describe_mdev(event.devpath, json);
  json["environment"] = event.environment;
  return to_item(json);
}

}  // namespace

Item lost_item(std::uint64_t count) {
  return to_item({{"event", "lost"}, {"count", count}});
}

// The way from the events here (the bridge) is there only while somebody watches, since every event that has
// a subscriber is copied.
struct News::State : std::enable_shared_from_this<State> {
  State(device::Events& its_events, const Limits& its_limits) : events(its_events), limits(its_limits) {}

  void open_bridge() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (bridge_ || ended_) return;
    bridge_ = events.subscribe(limits.watch_queue, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->carry_over();
    });
  }

  // Brings over what has happened. On the thread on which it happened, which holds no lock then.
  void carry_over() UMDEV_EXCLUDES(mutex_) {
    {
      Lock lock(mutex_);
      take_events();
    }
    feed.wake();
  }

  void publish(const Item& item) UMDEV_EXCLUDES(mutex_) {
    {
      Lock lock(mutex_);
      take_events();  // what came before
      feed.publish(item);
    }
    feed.wake();
  }

  void end() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    ended_ = true;
    bridge_ = {};
  }

  device::Events& events;
  const Limits limits;
  tree::Feed<Item> feed;
  std::atomic<std::uint32_t> watchers = 0;

 private:
  void take_events() UMDEV_REQUIRES(mutex_) {
    while (bridge_) {
      const auto event = bridge_.next();
      if (!event && event.error().code != ENOBUFS) return;
      if (event) {
        feed.publish(describe(*event));
      } else {
        feed.publish(lost_item(bridge_.lost() - lost_));
        lost_ = bridge_.lost();
      }
      if (watchers.load() != 0) continue;
      bridge_ = {};
      lost_ = 0;
    }
  }

  Mutex mutex_;
  device::Events::Subscription bridge_ UMDEV_GUARDED_BY(mutex_);
  std::uint64_t lost_ UMDEV_GUARDED_BY(mutex_) = 0;  // of what the bridge lost, what was told
  bool ended_ UMDEV_GUARDED_BY(mutex_) = false;
};

News::Reader& News::Reader::operator=(Reader&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(subscription_, other.subscription_);
  std::swap(told_lost_, other.told_lost_);
  return *this;
}

News::Reader::~Reader() {
  if (state_) --state_->watchers;
}

Result<Item> News::Reader::next() {
  auto item = subscription_.next();
  if (item || item.error().code != ENOBUFS) return item;
  const std::uint64_t lost = subscription_.lost();
  return lost_item(lost - std::exchange(told_lost_, lost));
}

News::News(device::Events& events, Limits limits) : state_(std::make_shared<State>(events, limits)) {}

News::~News() {
  state_->end();
}

Result<News::Reader> News::subscribe(Wake wake) {
  if (++state_->watchers > state_->limits.watchers) {
    --state_->watchers;
    return fail(EUSERS, "too many watchers; end one");
  }
  Reader reader;
  reader.state_ = state_;
  reader.subscription_ = state_->feed.subscribe(state_->limits.watch_queue, std::move(wake));
  state_->open_bridge();
  return reader;
}

Result<std::unique_ptr<ItemReader>> News::listen(Wake wake) {
  return std::make_unique<Reader>(UMDEV_TRY(subscribe(std::move(wake))));
}

void News::tell(std::string_view event, const Uuid& uuid, std::string_view parent, std::string_view type) {
  if (state_->watchers.load() == 0) return;
  Json json{{"event", event}, {"uuid", uuid.to_string()}};
  if (!parent.empty()) json["parent"] = parent;
  if (!type.empty()) json["type"] = type;
  state_->publish(to_item(json));
}

std::uint32_t News::watchers() const {
  return state_->watchers.load();
}

}  // namespace umdev::control
