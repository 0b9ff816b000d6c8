// Any text as a message of the control socket: what is answered is JSON on one line, and calls get nothing
// but parameters that fit their table.
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "umdev/control/dispatcher.h"
#include "umdev/support/assert.h"
#include "umdev/support/uuid.h"

namespace umdev::control {
namespace {

constexpr std::array<std::string_view, 2> policies{"wait", "force"};
constexpr std::array<Parameter, 2> parameters{
    Parameter{.name = "uuid", .is_uuid = true},
    Parameter{.name = "policy", .required = false, .choices = policies}};
constexpr std::array<Method, 2> table{Method{.name = "list", .parameters = {}},
                                      Method{.name = "remove", .parameters = parameters}};

class CheckedMethods final : public Methods {
 public:
  std::span<const Method> table() const override { return control::table; }
  void call(std::size_t index, Arguments arguments, const Caller&, Done<std::string> done) override {
    if (index == 0) return done("[]");
    const auto policy = arguments.find("policy");
    UMDEV_ASSERT(Uuid::parse(arguments.at("uuid")), "a UUID that is none has come through");
    UMDEV_ASSERT(!policy || *policy == "wait" || *policy == "force",
                 "a choice that is none has come through");
    done(fail(ENODEV, "there is none"));
  }
};

}  // namespace
}  // namespace umdev::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::control::CheckedMethods methods;
  umdev::control::Dispatcher dispatcher(methods);
  dispatcher.handle({reinterpret_cast<const char*>(data), size}, {}, [](umdev::Result<std::string> answer) {
    UMDEV_ASSERT(answer.has_value(), "an answer is always a text");
    UMDEV_ASSERT(answer->find('\n') == std::string::npos, "an answer is one line");
    UMDEV_ASSERT(answer->empty() || nlohmann::json::accept(*answer), "an answer is JSON");
  });
  return 0;
}
