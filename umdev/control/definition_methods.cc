// Management's methods about what is defined.
#include <nlohmann/json.hpp>

#include "umdev/control/call.h"
#include "umdev/control/describe_definitions.h"
#include "umdev/manage/apply.h"
#include "umdev/os/random_uuid.h"

namespace umdev::control {
namespace {

manage::Asker asker_of(const Caller& caller) {
  return {.uid = caller.uid, .pid = caller.pid};
}

Result<manage::DefinitionChange> read_change(const Arguments& arguments) {
  manage::DefinitionChange change;
  if (const auto type = arguments.find("type")) change.type = std::string(*type);
  if (const auto start = arguments.find("start"))
    change.start = *start == "auto" ? manage::Start::automatic : manage::Start::manual;
  if (const auto text = arguments.find("attrs")) {
    auto attributes = manage::parse_attributes(*text);
    if (!attributes) return fail(EINVAL, R"("attrs" is not understood: it is a list of {"NAME": "VALUE"})");
    change.attributes = std::move(*attributes);
  }
  return change;
}

}  // namespace

void Management::define(Call& call) {
  auto change = read_change(call.arguments);
  if (!change) return call.done(std::unexpected(change.error()));
  const bool named = call.arguments.find("uuid").has_value();
  if (!named && !call.arguments.find("parent"))
    return call.done(fail(EINVAL, "say a parent and a type, or the UUID of a device that is there"));
  const Uuid uuid = named ? call.uuid() : os::random_uuid();
  const auto result = world_.definitions->define(
      asker_of(call.caller), uuid, call.arguments.find("parent").value_or(std::string_view()), *change);
  call.done(answer_with(uuid, result));
}

void Management::undefine(Call& call) {
  const auto parent = call.arguments.find("parent").value_or(std::string_view());
  call.done(
      answer_with(call.uuid(), world_.definitions->undefine(asker_of(call.caller), call.uuid(), parent)));
}

void Management::modify(Call& call) {
  const auto change = read_change(call.arguments);
  if (!change) return call.done(std::unexpected(change.error()));
  const auto parent = call.arguments.find("parent").value_or(std::string_view());
  call.done(answer_with(call.uuid(),
                        world_.definitions->modify(asker_of(call.caller), call.uuid(), parent, *change)));
}

void Management::start(Call& call) {
  const auto parent = call.arguments.find("parent").value_or(std::string_view());
  world_.definitions->start(
      asker_of(call.caller), call.uuid(), parent,
      [self = call.shared_from_this()](Result<> result) { self->done(answer_with(self->uuid(), result)); });
}

void Management::list_definitions(Call& call) {
  const auto reports = world_.definitions->list();
  if (!reports) return call.done(std::unexpected(reports.error()));
  call.done(describe_definitions(*reports));
}

namespace {

// A desired state that is not understood is a problem of its own.
std::expected<manage::DesiredState, std::string> read_desired(const Arguments& arguments) {
  auto desired = manage::parse_desired_json(arguments.at("desired"), "the desired state");
  if (desired) return desired;
  return std::unexpected(describe_apply({.set = {}, .problems = {desired.error()}, .steps = {}}));
}

}  // namespace

void Management::diff(Call& call) {
  const auto desired = read_desired(call.arguments);
  if (!desired) return call.done(desired.error());
  const auto report = world_.applier->plan(asker_of(call.caller), *desired);
  if (!report) return call.done(std::unexpected(report.error()));
  call.done(describe_apply(*report));
}

void Management::apply(Call& call) {
  const auto desired = read_desired(call.arguments);
  if (!desired) return call.done(desired.error());
  const auto report = world_.applier->apply(asker_of(call.caller), *desired);
  if (!report) return call.done(std::unexpected(report.error()));
  call.done(describe_apply(*report));
}

}  // namespace umdev::control
