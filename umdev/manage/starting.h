// Making an instance of a definition, as mdevctl does: create, then the attributes one by one.
#pragma once

#include <memory>

#include "umdev/manage/definition.h"
#include "umdev/mdev/bus.h"

namespace umdev::manage {

// Completes with success when the instance is there and every attribute was taken, in order. Otherwise
// nothing of it is left, and the error is mdev::Bus::create's or the attribute's own: ENOENT there is none of
// that name in the device's directory (links are not followed, so that no attribute of anything else is
// reached), EACCES it cannot be written, or what its store says. Any thread; completes inline or later.
void start_definition(mdev::Bus& bus, const DefinitionKey& key, const Definition& definition,
                      const mdev::Owner& owner, Done<> done);

}  // namespace umdev::manage
