// One call of a method of Management, for the files that carry them out.
#pragma once

#include <memory>
#include <string>

#include "umdev/control/management.h"
#include "umdev/support/uuid.h"

namespace umdev::control {

struct Management::Call : std::enable_shared_from_this<Call> {
  Call(Management& its_management, std::size_t its_index, Arguments its_arguments, Caller its_caller,
       Done<std::string> its_done)
      : management(its_management),
        index(its_index),
        arguments(std::move(its_arguments)),
        caller(std::move(its_caller)),
        done(std::move(its_done)) {}

  // The parameter "uuid", which the dispatcher has checked.
  Uuid uuid() const { return Uuid::parse(arguments.at("uuid")).value_or(Uuid()); }

  Management& management;
  const std::size_t index;
  const Arguments arguments;
  const Caller caller;
  Done<std::string> done;
};

// {"uuid"}, or the error.
Result<std::string> answer_with(const Uuid& uuid, const Result<>& result);

}  // namespace umdev::control
