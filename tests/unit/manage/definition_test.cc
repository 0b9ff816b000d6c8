#include "umdev/manage/definition.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace umdev::manage {
namespace {

TEST(ParseDefinition, Takes_what_mdevctl_writes) {
  const auto definition = parse_definition(R"({
  "mdev_type": "mtty-2",
  "start": "auto",
  "attrs": [
    {
      "vendor/speed": "9600"
    },
    {
      "enable": "1"
    },
    {
      "enable": "0"
    }
  ]
})");
  ASSERT_TRUE(definition) << definition.error();
  EXPECT_EQ(definition->type, "mtty-2");
  EXPECT_EQ(definition->start, Start::automatic);
  EXPECT_EQ(definition->attributes,
            (mdev::Attributes{{"vendor/speed", "9600"}, {"enable", "1"}, {"enable", "0"}}));
}

TEST(ParseDefinition, Needs_no_attributes) {
  for (const char* text :
       {R"({"mdev_type":"a","start":"manual"})", R"({"mdev_type":"a","start":"manual","attrs":[]})",
        R"({"mdev_type":"a","start":"manual","attrs":null})"}) {
    const auto definition = parse_definition(text);
    ASSERT_TRUE(definition) << definition.error();
    EXPECT_TRUE(definition->attributes.empty());
    EXPECT_EQ(definition->start, Start::manual);
  }
}

TEST(FormatDefinition, Is_what_mdevctl_writes) {
  EXPECT_EQ(format_definition({.type = "mtty-2", .start = Start::automatic, .attributes = {{"enable", "1"}}}),
            "{\n  \"mdev_type\": \"mtty-2\",\n  \"start\": \"auto\",\n  \"attrs\": [\n    {\n"
            "      \"enable\": \"1\"\n    }\n  ]\n}\n");
}

TEST(FormatDefinition, Keeps_the_keys_that_it_does_not_know) {
  const auto definition =
      parse_definition(R"({"version":{"of":[1,"x"]},"mdev_type":"a","start":"manual","note":null})");
  ASSERT_TRUE(definition) << definition.error();
  const auto again = parse_definition(format_definition(*definition));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->others, R"({"version":{"of":[1,"x"]},"note":null})");
}

struct BadDefinition {
  const char* name;
  std::string text;
  const char* error;
};

class BadDefinitionTest : public testing::TestWithParam<BadDefinition> {};

TEST_P(BadDefinitionTest, Is_refused_and_the_text_says_why) {
  const auto definition = parse_definition(GetParam().text);
  ASSERT_FALSE(definition);
  EXPECT_EQ(definition.error(), GetParam().error);
}

std::string with_attributes(const std::string& attributes) {
  return R"({"mdev_type":"a","start":"auto","attrs":)" + attributes + "}";
}

const BadDefinition bad_definitions[] = {
    {"empty", "", "line 1: it is empty"},
    {"blank", "\n \n", "line 1: it is empty"},
    {"cut_off", "{\n  \"mdev_type\": \"mtty", "line 2: it is no JSON"},
    {"two_objects", "{}\n{}", "line 2: it is no JSON"},
    {"not_utf8", "{\"mdev_type\":\"\xff\",\"start\":\"auto\"}", "line 1: it is no JSON"},
    {"list", "[]", "it is no JSON object"},
    {"text", "\"mtty\"", "it is no JSON object"},
    {"no_type", R"({"start":"auto"})", "\"mdev_type\" is missing"},
    {"type_number", R"({"mdev_type":1,"start":"auto"})", "\"mdev_type\" is no string"},
    {"type_empty", R"({"mdev_type":"","start":"auto"})", "\"mdev_type\" is no name of a type"},
    {"type_up", R"({"mdev_type":"..","start":"auto"})", "\"mdev_type\" is no name of a type"},
    {"type_path", R"({"mdev_type":"a/b","start":"auto"})", "\"mdev_type\" is no name of a type"},
    {"type_nul", R"({"mdev_type":"a\u0000b","start":"auto"})", "\"mdev_type\" is no name of a type"},
    {"no_start", R"({"mdev_type":"a"})", "\"start\" is missing"},
    {"start_bool", R"({"mdev_type":"a","start":true})", "\"start\" is no string"},
    {"start_other", R"({"mdev_type":"a","start":"yes"})", R"("start" is neither "auto" nor "manual")"},
    {"key_twice", R"({"mdev_type":"a","mdev_type":"b","start":"auto"})",
     "line 1: the key \"mdev_type\" stands there twice"},
    {"attrs_object", with_attributes("{}"), "\"attrs\" is no list"},
    {"attr_text", with_attributes(R"(["a"])"),
     "an element of \"attrs\" is no object with an attribute's name and value"},
    {"attr_empty", with_attributes("[{}]"),
     "an element of \"attrs\" is no object with an attribute's name and value"},
    {"attr_number", with_attributes(R"([{"a":1}])"), "the value of the attribute \"a\" is no string"},
    {"attr_up", with_attributes(R"([{"../a":"1"}])"), "\"../a\" is no name of an attribute"},
    {"attr_up_inside", with_attributes(R"([{"a/../b":"1"}])"), "\"a/../b\" is no name of an attribute"},
    {"attr_here", with_attributes(R"([{".":"1"}])"), "\".\" is no name of an attribute"},
    {"attr_absolute", with_attributes(R"([{"/a":"1"}])"), "\"/a\" is no name of an attribute"},
    {"attr_slash", with_attributes(R"([{"a/":"1"}])"), "\"a/\" is no name of an attribute"},
    {"attr_nameless", with_attributes(R"([{"":"1"}])"), "\"\" is no name of an attribute"},
    {"attr_long", with_attributes(R"([{"a":")" + std::string(4097, 'x') + R"("}])"),
     "the value of the attribute \"a\" is longer than an attribute takes"},
    {"deep", R"({"mdev_type":"a","start":"auto","x":)" + std::string(40, '[') + std::string(40, ']') + "}",
     "line 1: it is nested too deeply"},
    {"very_deep", std::string(60000, '['), "line 1: it is no JSON"},
    {"too_large", std::string(65537, ' '), "it is too large"},
};
INSTANTIATE_TEST_SUITE_P(Table, BadDefinitionTest, testing::ValuesIn(bad_definitions),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(ParseDefinition, Takes_at_most_1024_attributes) {
  std::string list = "[";
  for (int number = 0; number < 1024; ++number) list += R"({"a":"1"},)";
  EXPECT_TRUE(parse_definition(with_attributes(list.substr(0, list.size() - 1) + "]")));
  EXPECT_FALSE(parse_definition(with_attributes(list + R"({"a":"1"}])")));
}

TEST(FormatDefinition, Comes_back_the_same) {
  EXPECT_TRUE(rc::check([](const std::vector<std::pair<unsigned, unsigned>>& numbers, bool automatic) {
    Definition definition{.type = "mtty-2", .start = automatic ? Start::automatic : Start::manual};
    for (const auto& [name, value] : numbers)
      definition.attributes.emplace_back("a" + std::to_string(name % 3) + "/b",
                                         std::string(value % 5, '\n') + "\"\\\t" + std::to_string(value));
    RC_ASSERT(parse_definition(format_definition(definition)).value() == definition);
    RC_ASSERT(parse_attributes(format_attributes(definition.attributes)).value() == definition.attributes);
  }));
}

TEST(IsParentName, Stays_in_its_directory) {
  for (const char* name : {"mtty", "0000:00:02.0", "a-b_c"}) EXPECT_TRUE(is_parent_name(name)) << name;
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".hidden"), std::string("a/b"),
        std::string("/"), std::string("scripts.d"), std::string("a\0b", 3), std::string(256, 'a')})
    EXPECT_FALSE(is_parent_name(name)) << name;
}

}  // namespace
}  // namespace umdev::manage
