#include "umdev/control/management.h"

#include <array>
#include <nlohmann/json.hpp>

#include "umdev/control/call.h"
#include "umdev/control/describe.h"
#include "umdev/control/describe_definitions.h"
#include "umdev/control/news.h"
#include "umdev/control/qemu_args.h"
#include "umdev/manage/definitions.h"
#include "umdev/mdev/bus.h"
#include "umdev/os/random_uuid.h"

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> policies{"wait", "busy", "force"};
constexpr std::array<Parameter, 1> only_uuid{Parameter{.name = "uuid", .is_uuid = true}};
constexpr std::array<Parameter, 4> for_create{Parameter{.name = "parent"}, Parameter{.name = "type"},
                                              Parameter{.name = "uuid", .required = false, .is_uuid = true},
                                              Parameter{.name = pci_attribute, .required = false}};
constexpr std::array<Parameter, 2> for_remove{
    Parameter{.name = "uuid", .is_uuid = true},
    Parameter{.name = "policy", .required = false, .choices = policies}};
constexpr std::array<std::string_view, 2> starts{"auto", "manual"};
constexpr std::array<Parameter, 5> for_define{
    Parameter{.name = "parent", .required = false}, Parameter{.name = "type", .required = false},
    Parameter{.name = "uuid", .required = false, .is_uuid = true},
    Parameter{.name = "start", .required = false, .choices = starts},
    Parameter{.name = "attrs", .required = false, .is_json = true}};
constexpr std::array<Parameter, 5> for_modify{
    Parameter{.name = "uuid", .is_uuid = true}, Parameter{.name = "parent", .required = false},
    Parameter{.name = "type", .required = false},
    Parameter{.name = "start", .required = false, .choices = starts},
    Parameter{.name = "attrs", .required = false, .is_json = true}};
constexpr std::array<Parameter, 1> for_apply{Parameter{.name = "desired", .is_json = true}};
constexpr std::array<std::string_view, 2> outcomes{"moved", "stays"};
constexpr std::array<std::string_view, 2> fates{"moves", "leaves"};
constexpr std::array<Parameter, 2> for_migrate_out{
    Parameter{.name = "uuid", .is_uuid = true},
    Parameter{.name = "client", .required = false, .choices = fates}};
constexpr std::array<Parameter, 2> for_migrate_end{Parameter{.name = "uuid", .is_uuid = true},
                                                   Parameter{.name = "outcome", .choices = outcomes}};
constexpr std::array<Parameter, 2> for_migrate_in{Parameter{.name = "stream"},
                                                  Parameter{.name = "parent", .required = false}};
constexpr std::array<Parameter, 2> for_module_add{
    Parameter{.name = "path"}, Parameter{.name = "params", .required = false, .is_json = true}};
constexpr std::array<std::string_view, 2> module_policies{"busy", "force"};
constexpr std::array<Parameter, 2> for_module_remove{
    Parameter{.name = "name"}, Parameter{.name = "policy", .required = false, .choices = module_policies}};
constexpr std::array<Parameter, 2> of_definition{Parameter{.name = "uuid", .is_uuid = true},
                                                 Parameter{.name = "parent", .required = false}};

RemovePolicy to_policy(std::string_view name) {
  if (name == "busy") return RemovePolicy::busy;
  return name == "force" ? RemovePolicy::force : RemovePolicy::wait;
}

}  // namespace

Result<std::string> answer_with(const Uuid& uuid, const Result<>& result) {
  if (!result) return std::unexpected(result.error());
  return Json{{"uuid", uuid.to_string()}}.dump();
}

struct Management::Entry {
  Method method;
  void (Management::*handler)(Call&);
};

const std::vector<Management::Entry>& Management::entries() {
  static const std::vector<Entry> all{{{"parents", {}}, &Management::parents},
                                      {{"types", {}}, &Management::types},
                                      {{"create", for_create}, &Management::create},
                                      {{"remove", for_remove}, &Management::remove},
                                      {{"list", {}}, &Management::list},
                                      {{"show", only_uuid}, &Management::show},
                                      {{"qemu_args", only_uuid}, &Management::qemu_args},
                                      {{"status", {}}, &Management::status},
                                      {{"metrics", {}}, &Management::metrics},
                                      {{"watch", {}}, &Management::watch},
                                      {{"trace", only_uuid}, &Management::trace},
                                      {{"migrate_out", for_migrate_out}, &Management::migrate_out},
                                      {{"migrate_end", for_migrate_end}, &Management::migrate_end},
                                      {{"migrate_in", for_migrate_in}, &Management::migrate_in},
                                      {{"definitions", {}}, &Management::list_definitions},
                                      {{"define", for_define}, &Management::define},
                                      {{"undefine", of_definition}, &Management::undefine},
                                      {{"modify", for_modify}, &Management::modify},
                                      {{"start", of_definition}, &Management::start},
                                      {{"stop", for_remove}, &Management::remove},
                                      {{"diff", for_apply}, &Management::diff},
                                      {{"apply", for_apply}, &Management::apply},
                                      {{"modules", {}}, &Management::list_modules},
                                      {{"module_add", for_module_add}, &Management::add_module},
                                      {{"module_remove", for_module_remove}, &Management::remove_module}};
  return all;
}

Management::Management(World world)
    : world_(std::move(world)),
      table_([] {
        std::vector<Method> methods;
        for (const Entry& entry : entries()) methods.push_back(entry.method);
        return methods;
      }()),
      durations_(table_.size()) {}

void Management::call(std::size_t index, Arguments arguments, const Caller& caller, Done<std::string> done) {
  auto call =
      std::make_shared<Call>(*this, index, std::move(arguments), caller, timed(index, std::move(done)));
  world_.executor->post([call] { (call->management.*entries()[call->index].handler)(*call); });
}

Done<std::string> Management::timed(std::size_t index, Done<std::string> done) {
  if (world_.clock == nullptr) return done;
  struct Timed {
    Management& management;
    std::size_t index;
    Time begun;
    Done<std::string> done;
  };
  auto call = std::make_shared<Timed>(Timed{*this, index, world_.clock->now(), std::move(done)});
  return [call](Result<std::string> result) {
    call->management.note(call->index, call->begun, result);
    call->done(std::move(result));
  };
}

void Management::note(std::size_t index, Time begun, const Result<std::string>& result) {
  durations_[index].record(world_.clock->now() - begun);
  if (!result) errors_.add(result.error().code);
}

// What was never called has no line.
void Management::report(manage::MetricSet& set) const {
  for (std::size_t index = 0; index < table_.size(); ++index)
    if (const auto values = durations_[index].values(); values.count() > 0)
      set.histogram("umdev_control_call_duration_seconds", "Calls of the control socket, to their answers.",
                    values, {{"method", std::string(table_[index].name)}});
  for (std::size_t code = 0; code < ErrnoCounters::count; ++code)
    if (const auto count = errors_.value(code); count > 0)
      set.counter("umdev_control_errors_total", "Calls of the control socket that were refused, by errno.",
                  count, {{"errno", std::string(errno_name(static_cast<int>(code)))}});
}

manage::MetricSet Management::collect() const {
  return world_.metrics != nullptr ? world_.metrics->collect() : manage::MetricSet();
}

void Management::parents(Call& call) {
  call.done(describe_parents(*world_.bus));
}
void Management::types(Call& call) {
  call.done(describe_types(*world_.bus));
}
void Management::list(Call& call) {
  call.done(describe_instances(*world_.bus, *world_.doors));
}
void Management::show(Call& call) {
  const auto definitions = world_.definitions->find(call.uuid());
  if (!definitions) return call.done(std::unexpected(definitions.error()));
  auto shown = describe_instance(*world_.bus, *world_.doors, call.uuid(), *definitions);
  if (!shown && shown.error().code == ENODEV && !definitions->empty())
    return call.done(describe_inactive(*definitions));
  call.done(std::move(shown));
}
void Management::status(Call& call) {
  call.done(describe_status(*world_.bus, *world_.doors, world_.version, collect()));
}

void Management::metrics(Call& call) {
  call.done(Json(manage::to_prometheus(collect())).dump(-1, ' ', false, Json::error_handler_t::replace));
}

// Tells the caller of the topic, from the answer on.
void Management::tell(Call& call, Topic& topic) {
  const auto& listener = call.caller.listener;
  if (!listener) return call.done(fail(EOPNOTSUPP, "nothing but answers reaches this caller"));
  if (auto listens = listener->listen(topic); !listens) return call.done(std::unexpected(listens.error()));
  call.done(std::string("{}"));
  listener->begin();
}

void Management::watch(Call& call) {
  if (world_.news == nullptr) return call.done(fail(EOPNOTSUPP, "there are no news here"));
  tell(call, *world_.news);
}

// What a guest does with its device is its user's and its owner's business.
void Management::trace(Call& call) {
  const auto instance = world_.bus->find(call.uuid());
  if (!instance) return call.done(std::unexpected(instance.error()));
  if (!manage::may_change(call.caller.uid, (*instance)->owner().uid, world_.uid))
    return call.done(fail(EPERM, "the device is another user's"));
  const auto topic = world_.doors->trace_of(call.uuid());
  if (!topic) return call.done(std::unexpected(topic.error()));
  tell(call, **topic);
}

void Management::create(Call& call) {
  const Uuid uuid = call.arguments.find("uuid") ? call.uuid() : os::random_uuid();
  mdev::CreateRequest request{.parent = std::string(call.arguments.at("parent")),
                              .type = std::string(call.arguments.at("type")),
                              .uuid = uuid,
                              .owner = {.uid = call.caller.uid, .pid = call.caller.pid, .door = "control"},
                              .attributes = {}};
  if (const auto address = call.arguments.find(pci_attribute))
    request.attributes.emplace_back(pci_attribute, *address);
  world_.bus->create(std::move(request), [uuid, self = call.shared_from_this()](Result<> result) {
    self->done(answer_with(uuid, result));
  });
}

void Management::remove(Call& call) {
  const Uuid uuid = call.uuid();
  if (const auto instance = world_.bus->find(uuid);
      instance && !manage::may_change(call.caller.uid, (*instance)->owner().uid, world_.uid))
    return call.done(fail(EPERM, "the device is another user's"));
  const RemovePolicy policy = to_policy(call.arguments.find("policy").value_or("wait"));
  world_.bus->remove(uuid, policy, [uuid, self = call.shared_from_this()](Result<> result) {
    self->done(answer_with(uuid, result));
  });
}

void Management::qemu_args(Call& call) {
  const auto instance = world_.bus->find(call.uuid());
  if (!instance) return call.done(std::unexpected(instance.error()));
  SocketPaths socket = world_.doors->socket_of((*instance)->uuid());
  // A caller without a number here lives in another PID namespace: our /proc is not its /proc.
  if (call.caller.pid == 0) socket.short_path.clear();
  const auto words = qemu_arguments((*instance)->type().spec().device_api, socket);
  if (!words) return call.done(std::unexpected(words.error()));
  const Json result{{"arguments", *words}, {"line", shell_line(*words)}, {"socket", socket.path}};
  call.done(result.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace umdev::control
