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

Result<> Management::may_move(const Call& call) const {
  if (world_.mover == nullptr) return fail(EOPNOTSUPP, "instances cannot be moved here");
  const auto instance = world_.bus->find(call.uuid());
  if (instance && !manage::may_change(call.caller.uid, (*instance)->owner().uid, world_.uid))
    return fail(EPERM, "the device is another user's");
  return {};
}

void Management::migrate_out(Call& call) {
  if (const auto allowed = may_move(call); !allowed) return call.done(std::unexpected(allowed.error()));
  world_.mover->save(call.uuid(), [self = call.shared_from_this()](Result<std::vector<std::byte>> stream) {
    if (!stream) return self->done(std::unexpected(stream.error()));
    self->done(Json{{"uuid", self->uuid().to_string()}, {"stream", to_hex(*stream)}}.dump());
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
  world_.mover->load(*stream, std::string(call.arguments.find("parent").value_or(std::string_view())),
                     {.uid = call.caller.uid, .pid = call.caller.pid, .door = "control"},
                     [self = call.shared_from_this()](Result<Uuid> uuid) {
                       if (!uuid) return self->done(std::unexpected(uuid.error()));
                       self->done(answer_with(*uuid, {}));
                     });
}

}  // namespace umdev::control
