#include "umdev/kernel/loader.h"

#include <fmt/format.h>

#include <algorithm>

#include "umdev/kernel/parameter_text.h"
#include "umdev/mdev/bus.h"

namespace umdev::kernel {
namespace {

std::unexpected<Refusal> refuse(std::string_view whose, const Error& error) {
  return std::unexpected(Refusal{.error = error, .text = fmt::format("{}: {}", whose, error.text)});
}

// "parm" notes are "name:meaning".
std::string meaning_of(const Module& module, std::string_view parameter) {
  for (const ::umdev_module_note& note : module.notes()) {
    const std::string_view text = note.text;
    if (std::string_view(note.tag) == "parm" && text.starts_with(parameter) &&
        text.substr(parameter.size()).starts_with(':'))
      return std::string(text.substr(parameter.size() + 1));
  }
  return {};
}

}  // namespace

Loader::~Loader() {
  Lock lock(mutex_);
  UMDEV_ASSERT(entries_.empty(), "a loader was destroyed while modules of it run");
}

std::expected<std::string, Refusal> Loader::add(const std::string& path, const Parameters& parameters) {
  auto file = ModuleFile::open(path);
  if (!file) return std::unexpected(file.error());
  const std::string name = (*file)->code().name;
  const auto entry = std::make_shared<Entry>();
  entry->path = path;
  entry->file = std::move(*file);
  {
    Lock lock(mutex_);
    if (!entries_.try_emplace(name, entry).second)
      return refuse(name, Error{EEXIST, "a module of this name is loaded already"});
    entry->number = ++last_number_;
  }
  if (const Begun begun = begin(*entry, parameters); !begun) {
    drop(name);
    return std::unexpected(begun.error());
  }
  Lock lock(mutex_);
  entry->state = ModuleState::live;
  return std::string(name);
}

Loader::Begun Loader::begin(Entry& entry, const Parameters& parameters) {
  auto module = Module::create(world_, entry.file->object());
  if (!module) return refuse(entry.path, module.error());
  if (const auto guarded = (*module)->guard(entry.file->code()); !guarded)
    return refuse(entry.path, guarded.error());
  for (const auto& [name, value] : parameters)
    if (const auto set = (*module)->set_parameter(name, value); !set)
      return refuse(fmt::format("{}={}", name, value), set.error());
  if (const auto begun = (*module)->init(); !begun) {
    if ((*module)->crash()) entry.file->keep();
    return refuse(entry.path, begun.error());
  }
  Lock lock(mutex_);
  entry.module = std::move(*module);
  return {};
}

void Loader::drop(const std::string& name) {
  std::shared_ptr<Entry> entry;
  {
    Lock lock(mutex_);
    auto node = entries_.extract(name);
    if (!node) return;
    entry = std::move(node.mapped());
    dropped_.notify_all();
    if (entry->module && !entry->module->is_idle()) return abandoned_.push_back(std::move(entry));
  }
  entry->module.reset();
  entry->file.reset();
}

Result<> Loader::give_up(const std::shared_ptr<Entry>& entry) {
  // Twice what the waits in it need to notice, and what its end grants them.
  constexpr Duration limit = 4 * crash_watch;
  const std::string name = entry->file->code().name;
  const auto is_there = [&]() UMDEV_REQUIRES(mutex_) {
    const auto found = entries_.find(name);
    return found != entries_.end() && found->second == entry;
  };
  Lock lock(mutex_);
  if (is_there()) entry->module->give_up();
  if (is_there()) dropped_.wait_for(mutex_, limit);
  if (is_there()) return fail(ETIMEDOUT, "the module's own end does not return");
  return {};
}

Result<> Loader::remove(std::string_view name, bool forced) {
  std::shared_ptr<Entry> entry;
  bool is_given_up = false;
  {
    Lock lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return fail(ENOENT, "no such module");
    entry = found->second;
    if (entry->state == ModuleState::going && forced) is_given_up = true;
    if (entry->state != ModuleState::live && !is_given_up)
      return fail(EAGAIN, "the module is beginning or ending");
    if (!is_given_up && entry->module->crash() && !forced)
      return fail(EIO, "the module has crashed: it can only be removed by force");
    entry->state = ModuleState::going;
  }
  if (is_given_up) return give_up(entry);
  const auto ended = entry->module->exit(forced);
  if (!ended) {
    Lock lock(mutex_);
    entry->state = ModuleState::live;
    return ended;
  }
  // What it has begun and not ended (a timer, a thread) would go on in memory that is gone.
  if (entry->module->crash() || !entry->module->has_exit()) entry->file->keep();
  drop(std::string(name));
  return {};
}

void Loader::end_all() {
  std::vector<std::pair<unsigned, std::string>> names;
  {
    Lock lock(mutex_);
    for (const auto& [name, entry] : entries_) names.emplace_back(entry->number, name);
  }
  std::sort(names.rbegin(), names.rend());
  for (const auto& [number, name] : names)
    if (const auto removed = remove(name, true); !removed)
      world_.log().error(fmt::format("module {} cannot be removed: {}", name, removed.error().text));
}

std::vector<std::string> Loader::unfinished(std::string_view name) const {
  Lock lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end() || found->second->state != ModuleState::going) return {};
  return found->second->module->unfinished();
}

bool Loader::has_abandoned() const {
  Lock lock(mutex_);
  return std::any_of(abandoned_.begin(), abandoned_.end(),
                     [](const auto& entry) { return !entry->module->is_idle(); });
}

std::vector<ModuleInfo> Loader::list() const {
  std::vector<ModuleInfo> list;
  Lock lock(mutex_);
  for (const auto& [name, entry] : entries_) list.push_back(describe(name, *entry));
  return list;
}

// A module that is beginning or ending belongs to whoever does that: only its name is told, and what its end
// waits for. The lock keeps it from ending meanwhile.
ModuleInfo Loader::describe(const std::string& name, const Entry& entry) const {
  ModuleInfo info{.name = name, .path = entry.path};
  info.state = entry.state;
  if (entry.state == ModuleState::going) info.unfinished = entry.module->unfinished();
  if (entry.state != ModuleState::live || !entry.module) return info;
  const Module& module = *entry.module;
  info.api = module.api();
  if (const auto crash = module.crash()) {
    info.state = ModuleState::crashed;
    info.crash = *crash;
  }
  info.description = module.note("description");
  info.license = module.note("license");
  info.version = module.note("version");
  info.open_devices = module.open_devices();
  for (const ::umdev_parameter& parameter : module.parameters())
    info.parameters.push_back({.name = parameter.name,
                               .value = parameter_text(parameter),
                               .meaning = meaning_of(module, parameter.name)});
  info.parents = module.parents();
  for (const auto& instance : world_.bus().instances())
    if (std::find(info.parents.begin(), info.parents.end(), instance->mdev_parent().name()) !=
        info.parents.end())
      ++info.instances;
  return info;
}

}  // namespace umdev::kernel
