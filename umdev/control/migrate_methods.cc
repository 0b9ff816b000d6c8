// Management's methods about instances that move.
#include <nlohmann/json.hpp>

#include "umdev/control/call.h"
#include "umdev/manage/mover.h"
#include "umdev/manage/ownership.h"
#include "umdev/mdev/bus.h"
#include "umdev/mdev/instance.h"
#include "umdev/support/hex.h"

namespace umdev::control {

using Json = nlohmann::ordered_json;

namespace {

std::string describe(const manage::Departure& departure, const Uuid& uuid) {
  Json answer{{"uuid", uuid.to_string()},
              {"stream", to_hex(departure.stream)},
              {"descriptors", departure.descriptors.size()}};
  if (!departure.why.empty()) answer["client_leaves_because"] = departure.why;
  return answer.dump();
}

}  // namespace

Result<> Management::may_move(const Call& call) const {
  if (world_.mover == nullptr) return fail(EOPNOTSUPP, "instances cannot be moved here");
  const auto instance = world_.bus->find(call.uuid());
  if (instance && !manage::may_change(call.caller.uid, (*instance)->owner().uid, world_.uid))
    return fail(EPERM, "the device is another user's");
  return {};
}

void Management::migrate_out(Call& call) {
  if (const auto allowed = may_move(call); !allowed) return call.done(std::unexpected(allowed.error()));
  const bool wanted = call.arguments.find("client") == "moves";
  if (wanted && !call.caller.attachment)
    return call.done(fail(EOPNOTSUPP, "this caller cannot be handed descriptors"));
  // With them goes its client's memory, whoever made the instance.
  const bool trusted = call.caller.uid == 0 || call.caller.uid == world_.uid;
  world_.mover->save(
      call.uuid(), wanted && trusted ? manage::Clients::come_along : manage::Clients::leave,
      [self = call.shared_from_this(), refused = wanted && !trusted](Result<manage::Departure> departure) {
        if (!departure) return self->done(std::unexpected(departure.error()));
        if (refused) departure->why = "its descriptors are only for root and the daemon's own user";
        std::string answer = describe(*departure, self->uuid());
        if (self->caller.attachment) self->caller.attachment->answer = std::move(departure->descriptors);
        self->done(std::move(answer));
      });
}

void Management::migrate_end(Call& call) {
  if (const auto allowed = may_move(call); !allowed) return call.done(std::unexpected(allowed.error()));
  world_.mover->end(
      call.uuid(), call.arguments.at("outcome") == "moved",
      [self = call.shared_from_this()](Result<> result) { self->done(answer_with(self->uuid(), result)); });
}

void Management::migrate_in(Call& call) {
  if (world_.mover == nullptr) return call.done(fail(EOPNOTSUPP, "instances cannot be moved here"));
  const auto stream = from_hex(call.arguments.at("stream"));
  if (!stream) return call.done(fail(EINVAL, "the stream is not in hexadecimal digits"));
  std::vector<os::UniqueFd> descriptors;
  if (call.caller.attachment) descriptors = std::move(call.caller.attachment->received);
  world_.mover->load(*stream, std::move(descriptors),
                     std::string(call.arguments.find("parent").value_or(std::string_view())),
                     {.uid = call.caller.uid, .pid = call.caller.pid, .door = "control"},
                     [self = call.shared_from_this()](Result<Uuid> uuid) {
                       if (!uuid) return self->done(std::unexpected(uuid.error()));
                       self->done(answer_with(*uuid, {}));
                     });
}

}  // namespace umdev::control
