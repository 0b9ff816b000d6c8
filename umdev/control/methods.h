// What can be called: methods with their parameters, as the dispatcher sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/done.h"

namespace umdev::control {

class Topic;

// The caller's connection, for methods that go on telling after they have answered. Any thread.
class Listener {
 public:
  virtual ~Listener() = default;
  // Keeps what is new from here on. EBUSY when it listens already; Topic::listen()'s errors.
  virtual Result<> listen(Topic& topic) = 0;
  // Lets the client have it. After the answer, so that this comes first.
  virtual void begin() = 0;
};

// The descriptors that go with a call and its answer. The call's thread has it until the call completes.
struct Attachment {
  std::vector<os::UniqueFd> received;
  std::vector<os::UniqueFd> answer;  // 253 at most; they go only with a result
};

// Who calls, as the kernel saw it when the connection was made.
struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
  std::shared_ptr<Listener> listener = {};  // null: only answers reach this caller
  // Null: no descriptors can be passed (in a batch, for one).
  std::shared_ptr<Attachment> attachment = {};
};

// A parameter: a string, unless it is any JSON. What does not fit is refused before the method is called.
struct Parameter {
  std::string_view name;
  bool required = true;
  bool is_uuid = false;                            // as Uuid::parse() takes it
  std::span<const std::string_view> choices = {};  // nothing but these; empty: anything
  bool is_json = false;                            // any value; the method gets its text
};

struct Method {
  std::string_view name;
  std::span<const Parameter> parameters;
};

// The parameters of one call, checked against the method's table.
class Arguments {
 public:
  void add(std::string_view name, std::string value) { values_.emplace_back(name, std::move(value)); }

  std::optional<std::string_view> find(std::string_view name) const {
    for (const auto& [known, value] : values_)
      if (known == name) return value;
    return std::nullopt;
  }
  // One that is required, so it is there.
  std::string_view at(std::string_view name) const { return find(name).value_or(std::string_view()); }

 private:
  std::vector<std::pair<std::string_view, std::string>> values_;  // names are the table's
};

class Methods {
 public:
  virtual ~Methods() = default;
  // Constant for the object's life.
  virtual std::span<const Method> table() const = 0;
  // Calls table()[index]. Any thread; several at once. Completes inline or later, from any thread, with the
  // result as JSON text.
  virtual void call(std::size_t index, Arguments arguments, const Caller& caller, Done<std::string> done) = 0;
};

}  // namespace umdev::control
