// The subcommands about desired states.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/umdev/commands.h"
#include "apps/umdev/table.h"
#include "umdev/manage/desired.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

// A word of an answer, and nothing of one that is not understood.
std::string word_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

void print_steps(const Json& steps) {
  Table table({"ACTION", "UUID", "PARENT", "TYPE", "RESULT"});
  for (const Json& step : steps) {
    std::string result = word_of(step, "result");
    if (const auto error = word_of(step, "error"); !error.empty()) result += ": " + error;
    std::string uuid = word_of(step, "uuid");
    table.add({word_of(step, "action"), uuid.empty() ? "-" : std::move(uuid), word_of(step, "parent"),
               word_of(step, "type"), std::move(result)});
  }
  fmt::print("{}", table.to_string());
}

// What has come of it as an exit status, and what is wrong in words.
Outcome<> judge(const Json& report, const Options& options) {
  const Json problems = report.value("problems", Json::array());
  const Json steps = report.value("steps", Json::array());
  if (options.json)
    fmt::print("{}\n", report.dump(2));
  else if (!steps.empty())
    print_steps(steps);
  if (!problems.empty()) {
    std::string text = fmt::format("{}: nothing is done", options.file);
    for (const Json& problem : problems)
      text += "\n  " + (problem.is_string() ? problem.get<std::string>() : problem.dump());
    return std::unexpected(Failure{.text = std::move(text)});
  }
  if (const auto failed = number_of(report, "failed"); failed > 0)
    return std::unexpected(Failure{.text = fmt::format("{} of {} steps failed", failed, steps.size())});
  if (!steps.empty()) return std::unexpected(Failure{.status = exit_changed, .text = {}});
  return {};
}

Outcome<> call(const Options& options, std::string_view method) {
  const auto desired = manage::read_desired(options.file);
  if (!desired) return std::unexpected(Failure{.text = desired.error()});
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto result =
      remote->call_patiently(method, {}, "it takes its time", {{"desired", format_desired(*desired)}});
  if (!result) return std::unexpected(result.error());
  const Json report = Json::parse(*result, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object())
    return std::unexpected(
        Failure{.text = "the daemon's answer is not understood: is it of another version?"});
  return judge(report, options);
}

}  // namespace

Outcome<> apply(const Options& options) {
  return call(options, "apply");
}

Outcome<> diff(const Options& options) {
  return call(options, "diff");
}

}  // namespace umdev::cli
