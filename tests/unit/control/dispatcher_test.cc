#include "umdev/control/dispatcher.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <nlohmann/json.hpp>

#include "tests/unit/control/scripted_methods.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;

class DispatcherTest : public testing::Test {
 public:
  // The answer to a message that completes inline; nothing when it does not (yet).
  std::optional<std::string> handle(std::string_view message) {
    auto answer = std::make_shared<std::optional<std::string>>();
    dispatcher.handle(message, {.uid = 7, .gid = 8, .pid = 9},
                      [answer](Result<std::string> text) { *answer = text.value(); });
    last = answer;
    return *answer;
  }
  Json handle_json(std::string_view message) { return Json::parse(handle(message).value()); }

  test::ScriptedMethods methods;
  Limits limits{.batch = 3};
  Dispatcher dispatcher{methods, limits};
  std::shared_ptr<std::optional<std::string>> last;
};

TEST_F(DispatcherTest, A_call_is_answered_with_its_id_and_result) {
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","id":1,"method":"answer"})"),
            R"({"jsonrpc":"2.0","id":1,"result":42})");
  EXPECT_EQ(methods.caller.uid, 7U);
  EXPECT_EQ(methods.caller.pid, 9);
}

TEST_F(DispatcherTest, The_id_comes_back_as_it_was) {
  for (const char* id : {"1", "-3", "18446744073709551615", R"("a\nb")", "1.5", "null"}) {
    const auto answer = handle_json(std::string(R"({"jsonrpc":"2.0","method":"answer","id":)") + id + "}");
    EXPECT_EQ(answer["id"], Json::parse(id));
  }
}

TEST_F(DispatcherTest, A_notification_is_carried_out_and_not_answered) {
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","method":"answer"})"), "");
  EXPECT_EQ(methods.calls, 1);
  methods.answer = fail(EIO, "no");
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","method":"answer"})"), "");
}

TEST_F(DispatcherTest, A_notification_that_cannot_be_called_is_not_answered_either) {
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","method":"nothing"})"), "");
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","method":"answer","params":[1]})"), "");
  EXPECT_EQ(methods.calls, 0);
}

TEST_F(DispatcherTest, An_error_of_a_method_carries_number_name_and_text) {
  methods.answer = fail(EBUSY, "it is in use");
  const auto error = handle_json(R"({"jsonrpc":"2.0","id":"x","method":"answer"})");
  EXPECT_EQ(error["id"], "x");
  EXPECT_EQ(error["error"]["code"], code_failed);
  EXPECT_EQ(error["error"]["message"], "it is in use");
  EXPECT_EQ(error["error"]["data"], Json({{"errno", EBUSY}, {"name", "EBUSY"}, {"text", "it is in use"}}));
  EXPECT_FALSE(error.contains("result"));
}

TEST_F(DispatcherTest, A_completion_that_is_dropped_is_answered_with_ECANCELED) {
  EXPECT_EQ(handle(R"({"jsonrpc":"2.0","id":1,"method":"wait"})"), std::nullopt);
  methods.waiting.clear();
  EXPECT_EQ(Json::parse(last->value())["error"]["data"]["errno"], ECANCELED);
}

struct BadMessage {
  const char* name;
  const char* text;
  int code;
  const char* id;
};

class BadMessageTest : public DispatcherTest, public testing::WithParamInterface<BadMessage> {};

TEST_P(BadMessageTest, Is_refused_with_the_code_of_JSON_RPC) {
  const auto answer = handle_json(GetParam().text);
  EXPECT_EQ(answer["jsonrpc"], "2.0");
  EXPECT_EQ(answer["error"]["code"], GetParam().code);
  EXPECT_EQ(answer["id"], Json::parse(GetParam().id));
  EXPECT_FALSE(answer["error"]["data"]["text"].get<std::string>().empty());
  EXPECT_EQ(methods.calls, 0);
}

constexpr BadMessage bad_messages[] = {
    {"nothing", "", code_parse_error, "null"},
    {"no_json", "hello", code_parse_error, "null"},
    {"cut_off", R"({"jsonrpc":"2.0","id":1,)", code_parse_error, "null"},
    {"two_values", R"({"jsonrpc":"2.0","id":1,"method":"answer"} {})", code_parse_error, "null"},
    {"trailing_comma", R"({"jsonrpc":"2.0","id":1,"method":"answer",})", code_parse_error, "null"},
    {"comment", R"({"jsonrpc":"2.0","id":1,"method":"answer"} // x)", code_parse_error, "null"},
    {"no_utf8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", code_parse_error, "null"},
    {"too_large_number", R"({"jsonrpc":"2.0","id":1e999,"method":"answer"})", code_parse_error, "null"},
    {"number", "1", code_invalid_request, "null"},
    {"string", R"("answer")", code_invalid_request, "null"},
    {"null", "null", code_invalid_request, "null"},
    {"empty_object", "{}", code_invalid_request, "null"},
    {"empty_batch", "[]", code_invalid_request, "null"},
    {"no_version", R"({"id":1,"method":"answer"})", code_invalid_request, "1"},
    {"version_1", R"({"jsonrpc":"1.0","id":1,"method":"answer"})", code_invalid_request, "1"},
    {"version_number", R"({"jsonrpc":2.0,"id":1,"method":"answer"})", code_invalid_request, "1"},
    {"no_method", R"({"jsonrpc":"2.0","id":1})", code_invalid_request, "1"},
    {"method_number", R"({"jsonrpc":"2.0","id":1,"method":1})", code_invalid_request, "1"},
    {"id_object", R"({"jsonrpc":"2.0","id":{},"method":"answer"})", code_invalid_request, "null"},
    {"id_bool", R"({"jsonrpc":"2.0","id":true,"method":"answer"})", code_invalid_request, "null"},
    {"params_string", R"({"jsonrpc":"2.0","id":1,"method":"answer","params":"x"})", code_invalid_request,
     "1"},
    {"params_null", R"({"jsonrpc":"2.0","id":1,"method":"answer","params":null})", code_invalid_request, "1"},
    {"batch_too_large", "[1,2,3,4]", code_invalid_request, "null"},
    {"unknown_method", R"({"jsonrpc":"2.0","id":1,"method":"destroy"})", code_method_not_found, "1"},
    {"method_case", R"({"jsonrpc":"2.0","id":1,"method":"Answer"})", code_method_not_found, "1"},
    {"missing", R"({"jsonrpc":"2.0","id":1,"method":"paint"})", code_invalid_params, "1"},
    {"missing_by_position", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":[]})", code_invalid_params,
     "1"},
    {"unknown", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":"w","brush":"b"}})",
     code_invalid_params, "1"},
    {"unknown_only", R"({"jsonrpc":"2.0","id":1,"method":"answer","params":{"brush":"b"}})",
     code_invalid_params, "1"},
    {"too_many", R"({"jsonrpc":"2.0","id":1,"method":"answer","params":["b"]})", code_invalid_params, "1"},
    {"number_for_string", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":1}})",
     code_invalid_params, "1"},
    {"null_for_string", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":null}})",
     code_invalid_params, "1"},
    {"no_choice", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":"w","colour":"green"}})",
     code_invalid_params, "1"},
    {"no_uuid", R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":"w","uuid":"1234"}})",
     code_invalid_params, "1"},
    {"braced_uuid",
     R"({"jsonrpc":"2.0","id":1,"method":"paint",
         "params":{"wall":"w","uuid":"{83b8f4f2-509f-382f-3c1e-e6bfe0fa1001}"}})",
     code_invalid_params, "1"},
};
INSTANTIATE_TEST_SUITE_P(Dispatcher, BadMessageTest, testing::ValuesIn(bad_messages),
                         [](const auto& bad) { return std::string(bad.param.name); });

TEST_F(DispatcherTest, Parameters_come_by_name) {
  handle(R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"colour":"red","wall":"north"}})");
  EXPECT_EQ(methods.arguments.find("wall"), "north");
  EXPECT_EQ(methods.arguments.find("colour"), "red");
  EXPECT_EQ(methods.arguments.find("uuid"), std::nullopt);
}

TEST_F(DispatcherTest, Parameters_come_by_position) {
  handle(R"({"jsonrpc":"2.0","id":1,"method":"paint","params":["north","blue"]})");
  EXPECT_EQ(methods.arguments.at("wall"), "north");
  EXPECT_EQ(methods.arguments.at("colour"), "blue");
}

TEST_F(DispatcherTest, A_batch_is_answered_when_its_last_call_has_ended) {
  EXPECT_EQ(handle(R"([{"jsonrpc":"2.0","id":1,"method":"wait"},{"jsonrpc":"2.0","id":2,"method":"answer"},
                       {"jsonrpc":"2.0","method":"answer"}])"),
            std::nullopt);
  EXPECT_EQ(methods.calls, 3);
  methods.waiting[0]("true");
  EXPECT_EQ(Json::parse(last->value()), Json::parse(R"([{"jsonrpc":"2.0","id":2,"result":42},
                                                        {"jsonrpc":"2.0","id":1,"result":true}])"));
}

TEST_F(DispatcherTest, A_batch_of_notifications_is_not_answered) {
  EXPECT_EQ(handle(R"([{"jsonrpc":"2.0","method":"answer"},{"jsonrpc":"2.0","method":"answer"}])"), "");
  EXPECT_EQ(methods.calls, 2);
}

TEST_F(DispatcherTest, What_is_no_request_in_a_batch_is_answered_by_itself) {
  const auto answer = handle_json(R"([1,{"jsonrpc":"2.0","id":2,"method":"answer"}])");
  ASSERT_EQ(answer.size(), 2U);
  EXPECT_EQ(answer[0]["error"]["code"], code_invalid_request);
  EXPECT_EQ(answer[1]["result"], 42);
}

TEST_F(DispatcherTest, A_deeply_nested_message_is_refused_and_nothing_more) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(Json::parse(handle(deep).value())[0]["error"]["code"], code_invalid_request);
  EXPECT_EQ(handle_json(std::string(100'000, '['))["error"]["code"], code_parse_error);
}

TEST_F(DispatcherTest, An_answer_is_one_line_of_JSON_whatever_was_asked) {
  rc::check([this](const std::string& junk) {
    const auto answer = handle(junk);
    RC_ASSERT(answer.has_value());
    RC_ASSERT(answer->find('\n') == std::string::npos);
    RC_ASSERT(answer->empty() || Json::accept(*answer));
  });
}

TEST_F(DispatcherTest, A_damaged_request_is_answered_with_JSON) {
  const std::string good =
      R"({"jsonrpc":"2.0","id":1,"method":"paint","params":{"wall":"north","colour":"red"}})";
  rc::check([&] {
    std::string text = good;
    text[*rc::gen::inRange<std::size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
    const auto answer = handle(text);
    RC_ASSERT(answer.has_value());
    RC_ASSERT(answer->empty() || Json::accept(*answer));
  });
}

}  // namespace
}  // namespace umdev::control
