// Methods whose answers the test decides.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "umdev/control/methods.h"

namespace umdev::test {

inline constexpr std::array<std::string_view, 2> colours{"red", "blue"};
inline constexpr std::array<control::Parameter, 3> paint_parameters{
    control::Parameter{.name = "wall"},
    control::Parameter{.name = "colour", .required = false, .choices = colours},
    control::Parameter{.name = "uuid", .required = false, .is_uuid = true}};
inline constexpr std::array<control::Method, 3> scripted_table{
    control::Method{.name = "answer", .parameters = {}}, control::Method{.name = "wait", .parameters = {}},
    control::Method{.name = "paint", .parameters = paint_parameters}};

// "answer" and "paint" complete at once with `answer`; "wait" keeps its completion in `waiting`. Not
// thread-safe.
class ScriptedMethods final : public control::Methods {
 public:
  std::span<const control::Method> table() const override { return scripted_table; }
  void call(std::size_t index, control::Arguments given, const control::Caller& by,
            Done<std::string> done) override {
    ++calls;
    arguments = std::move(given);
    caller = by;
    if (scripted_table[index].name == "wait")
      waiting.push_back(std::move(done));
    else
      done(answer);
  }

  Result<std::string> answer = "42";
  std::vector<Done<std::string>> waiting;
  control::Arguments arguments;
  control::Caller caller;
  int calls = 0;
};

}  // namespace umdev::test
