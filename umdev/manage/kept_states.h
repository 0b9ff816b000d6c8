// States of devices over a restart of the daemon: a client that comes back finds its device as it was.
//
// Kept is what a driver can save (vfio::Device::migration), of an instance that is defined and that somebody
// used when the daemon was ended. The daemon that comes next brings it back when the instance is made again,
// once: its first user finds it. What a crash ends has no state.
#pragma once

#include <memory>
#include <vector>

#include "umdev/manage/keyed_files.h"
#include "umdev/manage/mover.h"
#include "umdev/mdev/instance.h"
#include "umdev/support/log.h"

namespace umdev::manage {

// Any thread. What it is lent outlives it, and save() ends before it does.
class KeptStates {
 public:
  // The files have to take moved_instance_max bytes.
  KeptStates(KeyedFiles files, Mover& mover, Log& log) : files_(std::move(files)), mover_(mover), log_(log) {}

  // At the end: these devices stop, what they were is written down, and they are removed, their users with
  // them. Durable when it completes. A device that cannot be saved is said in the log, and stays.
  void save(std::vector<DefinitionKey> keys, Done<> done);

  // When the instance has been made, before anybody can use it: what was kept of it awaits its first user,
  // and is not kept any more. What cannot be read, or is another type's, is thrown away and said in the log.
  void bring_back(const mdev::Instance& instance);

  // Of a definition that is gone.
  void forget(const DefinitionKey& key);
  // Of all that are not defined any more. For the beginning, while no device is there.
  void tidy(const KeyedFiles& definitions);

 private:
  struct Saving;
  void keep(const DefinitionKey& key, const Result<Departure>& departure);

  KeyedFiles files_;
  Mover& mover_;
  Log& log_;
};

}  // namespace umdev::manage
