// Definitions as JSON text. Field names are a contract, as in describe.h.
#pragma once

#include <string>
#include <vector>

#include "umdev/manage/apply.h"

namespace umdev::control {

// [{"uuid", "parent", "type", "start", "attrs", "state", "error", "owner", "set"}]; "error" only where there
// is one, "set" where it belongs to one. A file that is no definition has "file" in place of the first five.
std::string describe_definitions(const std::vector<manage::DefinitionReport>& reports);

// What `show` says of a device that is defined and not there: the first of the reports, with "state" and
// "definition".
std::string describe_inactive(const std::vector<manage::DefinitionReport>& reports);

// {"set", "changed", "failed", "problems": [TEXT...], "steps": [{"action", "uuid", "parent", "type", "start",
// "attrs", "result", "error"}]}: "uuid" once there is one, "start" and "attrs" where they are written,
// "result" "planned", "done" or "failed", and then "error". "changed" and "failed" count the steps; a plan's
// are neither.
std::string describe_apply(const manage::ApplyReport& report);

}  // namespace umdev::control
