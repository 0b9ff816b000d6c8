// The methods of the control socket: the operations of the mdev bus, translated.
//
//   parents, types, list             listings, see describe.h
//   show {uuid}                      one instance; ENODEV
//   create {parent, type, uuid?}     {"uuid"}; without a UUID a random one. mdev::Bus::create's errors
//   remove {uuid, policy?}           {"uuid"}, when it is gone; policy "wait" (the default), "busy" or
//   "force".
//                                    mdev::Bus::remove's errors
//   qemu_args {uuid}                 {"arguments": [WORD...], "line", "socket"}; ENODEV, EOPNOTSUPP,
//                                    ENAMETOOLONG
//   status                           see describe.h
//   metrics                          all metrics as a text for Prometheus
//   watch                            {}; from then on the connection gets notifications (dispatcher.h). EBUSY
//                                    when it watches already; EUSERS at the limit of watchers
//   trace {uuid}                     the same for the messages on the instance's socket (the door's items);
//                                    EPERM for another user's instance; ENODEV without a socket
//   migrate_out {uuid, client?}      {"uuid", "stream", "descriptors"}: the instance stands still, and its
//                                    state is in the stream (manage/moved_instance.h, in hexadecimal digits).
//                                    client "moves": its session goes along, in so many descriptors that come
//                                    with the answer, to root and the daemon's own user; where it cannot,
//                                    "client_leaves_because" says why. With
//                                    "leaves" (the default) the client has to connect again. It waits for
//   migrate_end {uuid, outcome}      {"uuid"}; outcome "moved" removes it, "stays" lets it run on, which it
//                                    does by itself after manage::Mover::patience. Mover's errors; EPERM
//   migrate_in {stream, parent?}     {"uuid"}: the instance of a stream is there, as it was. The descriptors
//                                    of a client that goes along come with the call
//   definitions                      see describe_definitions.h
//   define {parent?, type?, uuid?, start?, attrs?}
//                                    {"uuid"}, when it is durable; without a parent, what is active under
//                                    the UUID; start "auto" or "manual" (the default); attrs
//                                    [{NAME: VALUE}...]. manage::Definitions::define's errors
//   modify {uuid, parent?, type?, start?, attrs?}, undefine {uuid, parent?}
//                                    {"uuid"}; parent where several have it. The same of manage::Definitions
//   start {uuid, parent?}            {"uuid"}, when it is there. The same
//   stop {uuid, policy?}             remove, of a definition that stays
//   diff {desired}, apply {desired}  see describe_apply() in describe_definitions.h; the desired state as
//                                    manage/desired.h has it, in JSON. manage::Applier's errors
//   modules                          [{"name", "path", "api", "state", "description", "license", "version",
//                                    "parents": [NAME...], "instances", "open_files", "parameters": [{"name",
//                                    "value", "meaning"}], "crash" where it has}]: the drivers that were
//                                    loaded
//   module_add {path, params?}       {"name"}, when it has begun; params {NAME: VALUE}. Modules::add's
//   errors; EPERM
//                                    for all but root and the daemon's own user
//   module_remove {name, policy?}    {"name"}; policy "busy" (the default) or "force". Modules::remove's;
//   EPERM
//
// A device belongs to the user who made it. Whoever may call at all may see and use everything, but removing
// another user's device, or changing their definition, is EPERM, unless the caller is root or the daemon's
// own user.
//
// Threads: any, several calls at once. Every call runs on the executor, since a driver may keep it there for
// long; a call that waits (a removal) occupies no thread.
// Lifetimes: what it is lent outlives it, and it outlives every call: the executor has been stopped, and the
// instances are gone, before it is destroyed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "umdev/control/doors.h"
#include "umdev/control/methods.h"
#include "umdev/manage/metrics.h"
#include "umdev/support/errno_counters.h"
#include "umdev/support/histogram.h"
#include "umdev/support/host.h"

namespace umdev::mdev {
class Bus;
}
namespace umdev::manage {
class Definitions;
class Applier;
class Mover;
}  // namespace umdev::manage

namespace umdev::control {

// The parameter of `create`, and the attribute of the instance, that says at which address it is shown as a
// PCI function.
inline constexpr std::string_view pci_attribute = "pci";

class Modules;
class News;

class Management final : public Methods, public manage::MetricSource {
 public:
  struct World {
    mdev::Bus* bus = nullptr;
    Executor* executor = nullptr;
    const Doors* doors = nullptr;
    manage::Definitions* definitions = nullptr;
    manage::Applier* applier = nullptr;
    std::uint32_t uid = 0;  // the daemon's own
    std::string version;
    News* news = nullptr;                      // what watchers are told
    const manage::Metrics* metrics = nullptr;  // for `metrics` and `status`
    const Clock* clock = nullptr;              // times the calls, where there is one
    manage::Mover* mover = nullptr;            // for what moves; null: EOPNOTSUPP
    Modules* modules = nullptr;                // what loads drivers; null: EOPNOTSUPP
  };
  explicit Management(World world);

  // ^Methods
  std::span<const Method> table() const override { return table_; }
  void call(std::size_t index, Arguments arguments, const Caller& caller, Done<std::string> done) override;

  // ^manage::MetricSource: calls by method, refused ones by errno.
  void report(manage::MetricSet& set) const override;

 private:
  struct Call;
  struct Entry;
  static const std::vector<Entry>& entries();

  void parents(Call& call);
  void types(Call& call);
  void list(Call& call);
  void show(Call& call);
  void create(Call& call);
  void remove(Call& call);
  void qemu_args(Call& call);
  void status(Call& call);
  void tell(Call& call, Topic& topic);
  void watch(Call& call);
  void trace(Call& call);
  void metrics(Call& call);

  Done<std::string> timed(std::size_t index, Done<std::string> done);
  void note(std::size_t index, Time begun, const Result<std::string>& result);
  manage::MetricSet collect() const;

  // definition_methods.cc
  void define(Call& call);
  void undefine(Call& call);
  void modify(Call& call);
  void start(Call& call);
  void list_definitions(Call& call);
  void diff(Call& call);
  void apply(Call& call);

  // migrate_methods.cc
  Result<> may_move(const Call& call) const;
  void migrate_out(Call& call);
  void migrate_end(Call& call);
  void migrate_in(Call& call);

  // module_methods.cc
  Result<> may_load(const Call& call) const;
  void list_modules(Call& call);
  void add_module(Call& call);
  void remove_module(Call& call);

  const World world_;
  const std::vector<Method> table_;
  std::vector<Histogram> durations_;  // by method
  ErrnoCounters errors_;
};

}  // namespace umdev::control
