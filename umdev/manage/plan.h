// What has to be done so that a host has the devices that are desired. Pure: values in, values out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "umdev/manage/desired.h"

namespace umdev::manage {

// One device as it is: defined, or there, or both.
struct KnownDevice {
  DefinitionKey key;
  std::string type;
  std::string set;  // whose it is; empty: nobody's set
  bool defined = false;
  bool active = false;
  bool used = false;  // somebody has it open
  // Of its definition.
  Start start = Start::manual;
  mdev::Attributes attributes;

  friend bool operator==(const KnownDevice&, const KnownDevice&) = default;
};

struct KnownHost {
  std::vector<std::pair<std::string, std::string>> types;  // parent and type, of all that can be made
  std::vector<KnownDevice> devices;
};

// In the order in which they are to be done. What a step is about is `key` (whose UUID is none yet where a
// device is made under a fresh one) and, where something is written, what is to stand in the definition.
struct Step {
  enum class Kind : std::uint8_t {
    remove,   // stop it, and forget its definition
    change,   // write its definition anew
    restart,  // the same, and stop and start it, so that its attributes are written
    start,    // it is defined, and not there
    define,   // it is there, and not defined any more
    create,   // define it and start it
  };
  Kind kind = Kind::create;
  std::string parent;
  std::optional<Uuid> uuid;
  std::string type;
  Start start = Start::manual;
  mdev::Attributes attributes;

  friend bool operator==(const Step&, const Step&) = default;
};
std::string_view to_string(Step::Kind kind);

struct Plan {
  std::vector<Step> steps;
  std::vector<std::string> problems;  // not empty: nothing is to be done
};

// The steps touch only devices of the desired set. Of a group with a count those are kept that need the least
// change: what is as desired already, then what is in use, then what is there, then the lowest UUIDs.
// Problems: a parent or a type that is not there; a UUID that something outside the set has.
Plan make_plan(const DesiredState& desired, const KnownHost& host);

}  // namespace umdev::manage
