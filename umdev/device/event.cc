#include "umdev/device/event.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "umdev/support/uuid.h"

namespace umdev::device {

namespace {

constexpr std::array<std::string_view, 8> action_names{"add",    "remove",  "change", "move",
                                                       "online", "offline", "bind",   "unbind"};

// ASCII whatever the locale, as the kernel's isalnum for these.
bool is_alphanumeric(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

}  // namespace

std::string_view to_string(Action action) {
  return action_names[static_cast<std::size_t>(action)];
}

std::optional<std::string_view> Uevent::value(std::string_view key) const {
  for (const std::string_view entry : environment) {
    if (entry.size() > key.size() && entry[key.size()] == '=' && entry.starts_with(key))
      return entry.substr(key.size() + 1);
  }
  return std::nullopt;
}

Uevent make_uevent(Action action, std::string devpath, std::string subsystem, Environment extra,
                   Environment rest) {
  Uevent event{.action = action, .devpath = std::move(devpath), .subsystem = std::move(subsystem)};
  event.environment.reserve(4 + extra.size() + rest.size());
  event.environment.push_back("ACTION=" + std::string(to_string(action)));
  event.environment.push_back("DEVPATH=" + event.devpath);
  event.environment.push_back("SUBSYSTEM=" + event.subsystem);
  std::ranges::move(extra, std::back_inserter(event.environment));
  std::ranges::move(rest, std::back_inserter(event.environment));
  return event;
}

Result<SyntheticEvent> parse_synthetic_event(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t space = text.find(' ');
    words.push_back(text.substr(0, space));
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  const auto name = std::ranges::find(action_names, words[0]);
  if (name == action_names.end()) return fail(EINVAL, "not an action of an uevent");
  SyntheticEvent event{.action = static_cast<Action>(name - action_names.begin())};
  if (words.size() == 1) {
    event.environment.emplace_back("SYNTH_UUID=0");
    return event;
  }
  UMDEV_TRY(Uuid::parse(words[1]));
  event.environment.push_back("SYNTH_UUID=" + std::string(words[1]));
  for (std::size_t index = 2; index < words.size(); ++index) {
    const std::size_t equals = words[index].find('=');
    if (equals == std::string_view::npos || !is_alphanumeric(words[index].substr(0, equals)) ||
        !is_alphanumeric(words[index].substr(equals + 1)))
      return fail(EINVAL, "an argument of an uevent is KEY=VALUE, alphanumeric");
    event.environment.push_back("SYNTH_ARG_" + std::string(words[index]));
  }
  return event;
}

void Events::emit(Uevent event, EventBatch* batch) {
  if (batch != nullptr && batch->hold(event)) return;
  publish(std::move(event));
  feed_.wake();
}

void Events::publish(Uevent event) {
  Lock lock(mutex_);
  event.sequence = ++last_sequence_;
  if (!feed_.has_subscribers()) return;
  event.environment.push_back("SEQNUM=" + std::to_string(event.sequence));
  feed_.publish(event);
}

bool EventBatch::hold(Uevent& event) {
  Lock lock(mutex_);
  if (holds_) held_.push_back(std::move(event));
  return holds_;
}

void EventBatch::release() {
  {
    // Held while publishing, so that no later event overtakes these.
    Lock lock(mutex_);
    holds_ = false;
    for (Uevent& event : held_) events_.publish(std::move(event));
    held_.clear();
  }
  events_.feed_.wake();
}

void EventBatch::discard() {
  Lock lock(mutex_);
  holds_ = false;
  held_.clear();
}

}  // namespace umdev::device
