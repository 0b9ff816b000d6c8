#include "umdev/manage/definitions.h"

#include <atomic>
#include <memory>

#include "umdev/manage/starting.h"

namespace umdev::manage {
namespace {

std::string explain(const Error& error) {
  return std::string(error.text) + " (" + std::string(errno_name(error.code)) + ")";
}

std::string name_of(const DefinitionKey& key) {
  return key.parent + "/" + key.uuid.to_string();
}

void apply(const DefinitionChange& change, Definition& definition) {
  if (change.type) definition.type = *change.type;
  if (change.start) definition.start = *change.start;
  if (change.attributes) definition.attributes = *change.attributes;
}

}  // namespace

std::string_view to_string(DefinitionState state) {
  switch (state) {
    case DefinitionState::inactive:
      return "inactive";
    case DefinitionState::active:
      return "active";
    case DefinitionState::failed:
      return "failed";
    case DefinitionState::orphaned:
      return "orphaned";
    case DefinitionState::unreadable:
      return "unreadable";
  }
  return "?";
}

// --- Whose it is.

Mark Definitions::mark_of(const DefinitionKey& key) const {
  const auto text = owners_.read(key);
  if (!text) return {.uid = world_.uid, .set = {}};
  auto mark = parse_mark(*text);
  return mark ? std::move(*mark) : Mark{.uid = world_.uid, .set = {}};
}

Result<> Definitions::check_owner(const Asker& asker, const DefinitionKey& key) const {
  if (may_change(asker.uid, mark_of(key).uid, world_.uid)) return {};
  return fail(EPERM, "the definition is another user's");
}

Result<std::vector<std::pair<DefinitionKey, Mark>>> Definitions::marks_of(std::string_view set) const {
  std::vector<std::pair<DefinitionKey, Mark>> marks;
  for (DefinitionKey& key : UMDEV_TRY(owners_.list()).keys) {
    Mark mark = mark_of(key);
    if (mark.set == set) marks.emplace_back(std::move(key), std::move(mark));
  }
  return marks;
}

Result<> Definitions::forget_mark(const DefinitionKey& key) {
  Lock lock(mutex_);
  if (definitions_.read(key)) return {};  // it has been defined meanwhile
  const Result<> removed = owners_.remove(key);
  return !removed && removed.error().code != ENOENT ? removed : Result<>{};
}

void Definitions::tidy() {
  const auto owners = owners_.list();
  if (!owners) return;
  for (const DefinitionKey& key : owners->keys) {
    const auto text = definitions_.read(key);
    if (text || text.error().code != ENOENT) continue;
    world_.log->debug(name_of(key) + " is not defined any more: its owner is forgotten");
    if (const auto forgotten = forget_mark(key); !forgotten)
      world_.log->warning(name_of(key) + ": its owner cannot be forgotten: " + explain(forgotten.error()));
  }
}

// --- Finding.

Result<DefinitionKey> Definitions::locate(const Uuid& uuid, std::string_view parent) const {
  if (!parent.empty()) return DefinitionKey{.parent = std::string(parent), .uuid = uuid};
  const auto parents = UMDEV_TRY(definitions_.find(uuid));
  if (parents.empty()) return fail(ENOENT, "there is no definition of this UUID");
  if (parents.size() > 1) return fail(EINVAL, "several parents have a definition of this UUID: name one");
  return DefinitionKey{.parent = parents.front(), .uuid = uuid};
}

Result<Definition> Definitions::read(const DefinitionKey& key) const {
  const auto text = definitions_.read(key);
  if (!text && (text.error().code == ENOENT || text.error().code == ENOTDIR))
    return fail(ENOENT, "there is no such definition");
  auto definition = parse_definition(UMDEV_TRY(text));
  if (!definition) return fail(EBADMSG, "the definition's file is not understood");
  return std::move(*definition);
}

DefinitionReport Definitions::report(const DefinitionKey& key) const {
  DefinitionReport report{.key = key, .definition = {}, .mark = mark_of(key), .error = {}, .stranger = {}};
  auto text = definitions_.read(key);
  auto definition =
      text ? parse_definition(*text) : std::expected<Definition, std::string>(Refused(explain(text.error())));
  if (definition) {
    report.definition = std::move(*definition);
    judge(report);
  } else {
    report.state = DefinitionState::unreadable;
    report.error = definitions_.path_of(key) + ": " + definition.error();
  }
  return report;
}

// What has become of a definition that is understood.
void Definitions::judge(DefinitionReport& report) const {
  const auto& [parent_name, uuid] = report.key;
  const auto orphan = [&](std::string why) {
    report.state = DefinitionState::orphaned;
    report.error = std::move(why);
  };
  const auto instance = world_.bus->find(uuid);
  if (instance && (*instance)->mdev_parent().name() == parent_name &&
      (*instance)->type().id() == report.definition.type) {
    report.state = DefinitionState::active;
    return;
  }
  const auto parent = world_.bus->find_parent(parent_name);
  if (!parent) return orphan("there is no parent " + parent_name);
  if ((*parent)->find_type(report.definition.type) == nullptr)
    return orphan("the parent " + parent_name + " has no type " + report.definition.type);
  if (instance) report.error = "a device of another kind has its UUID";
  Lock lock(failures_mutex_);
  const auto failure = failures_.find(report.key);
  if (failure == failures_.end()) return;
  report.state = DefinitionState::failed;
  report.error = failure->second;
}

Result<std::vector<DefinitionReport>> Definitions::list() const {
  auto listing = UMDEV_TRY(definitions_.list());
  std::vector<DefinitionReport> reports;
  reports.reserve(listing.keys.size() + listing.strangers.size());
  for (const DefinitionKey& key : listing.keys) reports.push_back(report(key));
  for (auto& [path, why] : listing.strangers)
    reports.push_back({.key = {},
                       .definition = {},
                       .mark = {},
                       .state = DefinitionState::unreadable,
                       .error = std::move(why),
                       .stranger = std::move(path)});
  return reports;
}

Result<std::vector<DefinitionReport>> Definitions::find(const Uuid& uuid) const {
  std::vector<DefinitionReport> reports;
  for (std::string& parent : UMDEV_TRY(definitions_.find(uuid)))
    reports.push_back(report({.parent = std::move(parent), .uuid = uuid}));
  return reports;
}

// --- Changing.

Result<> Definitions::check_type(const DefinitionKey& key, const std::string& type) const {
  const auto parent = UMDEV_TRY(world_.bus->find_parent(key.parent));
  if (parent->find_type(type) == nullptr) return fail(EINVAL, "the parent has no such type");
  return {};
}

Result<DefinitionKey> Definitions::place_of_active(const Asker& asker, const Uuid& uuid,
                                                   Definition& definition) const {
  if (!definition.type.empty()) return fail(EINVAL, "a type needs its parent");
  const auto instance = UMDEV_TRY(world_.bus->find(uuid));
  if (!may_change(asker.uid, instance->owner().uid, world_.uid))
    return fail(EPERM, "the device is another user's");
  definition.type = instance->type().id();
  return DefinitionKey{.parent = instance->mdev_parent().name(), .uuid = uuid};
}

Result<> Definitions::check_new(const Asker& asker, const DefinitionKey& key,
                                const Definition& definition) const {
  if (!is_parent_name(key.parent)) return fail(ENODEV, "no such parent");
  if (definition.type.empty()) return fail(EINVAL, "a definition has a type");
  UMDEV_TRY(check_type(key, definition.type));
  if (!UMDEV_TRY(definitions_.find(key.uuid)).empty()) return fail(EEXIST, "the UUID is defined already");
  const auto instance = world_.bus->find(key.uuid);
  if (!instance) return {};
  if (!may_change(asker.uid, (*instance)->owner().uid, world_.uid))
    return fail(EPERM, "the device of this UUID is another user's");
  if ((*instance)->mdev_parent().name() != key.parent || (*instance)->type().id() != definition.type)
    return fail(EEXIST, "a device of another kind has this UUID");
  return {};
}

// The owner first: a crash in between leaves an owner of nothing, not a definition of nobody's.
Result<> Definitions::define(const Asker& asker, const Uuid& uuid, std::string_view parent,
                             const DefinitionChange& change, std::string_view set) {
  Definition definition;
  apply(change, definition);
  DefinitionKey key{.parent = std::string(parent), .uuid = uuid};
  {
    Lock lock(mutex_);
    if (parent.empty()) key = UMDEV_TRY(place_of_active(asker, uuid, definition));
    UMDEV_TRY(check_new(asker, key, definition));
    UMDEV_TRY(owners_.write(key, format_mark({.uid = asker.uid, .set = std::string(set)})));
    const Result<> written = definitions_.write(key, format_definition(definition));
    if (!written && !definitions_.read(key)) (void)owners_.remove(key);
    if (!written) return written;
  }
  tell("defined", key, definition.type);
  return {};
}

Result<> Definitions::undefine(const Asker& asker, const Uuid& uuid, std::string_view parent) {
  DefinitionKey key;
  {
    Lock lock(mutex_);
    key = UMDEV_TRY(locate(uuid, parent));
    UMDEV_TRY(check_owner(asker, key));
    if (const auto removed = definitions_.remove(key); !removed) {
      if (removed.error().code != ENOENT && removed.error().code != ENOTDIR) return removed;
      return fail(ENOENT, "there is no such definition");
    }
    note(key, {});
    // What cannot be forgotten is nobody's harm: whoever defines it next writes himself down.
    (void)owners_.remove(key);
  }
  tell("undefined", key);
  return {};
}

Result<> Definitions::modify(const Asker& asker, const Uuid& uuid, std::string_view parent,
                             const DefinitionChange& change) {
  DefinitionKey key;
  Definition definition;
  {
    Lock lock(mutex_);
    key = UMDEV_TRY(locate(uuid, parent));
    UMDEV_TRY(check_owner(asker, key));
    definition = UMDEV_TRY(read(key));
    if (change.type) UMDEV_TRY(check_type(key, *change.type));
    apply(change, definition);
    note(key, {});
    UMDEV_TRY(definitions_.write(key, format_definition(definition)));
  }
  tell("modified", key, definition.type);
  return {};
}

// --- Starting.

void Definitions::note(const DefinitionKey& key, const Result<>& result) {
  Lock lock(failures_mutex_);
  if (result)
    failures_.erase(key);
  else
    failures_.insert_or_assign(key, explain(result.error()));
}

void Definitions::begin(const Asker& asker, const DefinitionKey& key, const Definition& definition,
                        Done<> done) {
  struct Begun {
    DefinitionKey key;
    Done<> done;
  };
  auto begun = std::make_shared<Begun>(Begun{key, std::move(done)});
  start_definition(*world_.bus, key, definition,
                   {.uid = mark_of(key).uid, .pid = asker.pid, .door = "definition"},
                   [this, begun](Result<> result) {
                     // That it is there already is no failure of the definition.
                     if (result || result.error().code != EEXIST) note(begun->key, result);
                     begun->done(result);
                   });
}

void Definitions::start(const Asker& asker, const Uuid& uuid, std::string_view parent, Done<> done) {
  const auto key = locate(uuid, parent);
  if (!key) return done(std::unexpected(key.error()));
  const auto definition = read(*key);
  if (!definition) return done(std::unexpected(definition.error()));
  if (auto allowed = check_owner(asker, *key); !allowed) return done(allowed);
  begin(asker, *key, *definition, std::move(done));
}

void Definitions::start_automatic(Done<> done) {
  const auto reports = list();
  if (!reports) return done(std::unexpected(reports.error()));
  // Completes when the last of those that share it has gone.
  struct Last {
    explicit Last(Done<> when_over) : over(std::move(when_over)) {}
    ~Last() { over(); }
    Last(const Last&) = delete;
    Last& operator=(const Last&) = delete;
    Done<> over;
  };
  const auto last = std::make_shared<Last>(std::move(done));
  for (const DefinitionReport& report : *reports) {
    if (report.state == DefinitionState::unreadable) {
      world_.log->error((report.stranger.empty() ? std::string() : report.stranger + ": ") + report.error);
      continue;
    }
    if (report.definition.start != Start::automatic || report.state == DefinitionState::active) continue;
    auto key = std::make_shared<DefinitionKey>(report.key);
    auto definition = std::make_shared<Definition>(report.definition);
    world_.executor->post([this, last, key, definition] {
      begin({.uid = world_.uid, .pid = 0}, *key, *definition, [this, last, key](Result<> result) {
        if (!result)
          world_.log->error(name_of(*key) + " was to be started, and is not: " + explain(result.error()));
      });
    });
  }
}

}  // namespace umdev::manage
