#include "umdev/manage/desired.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/scratch_directory.h"

namespace umdev::manage {
namespace {

constexpr const char* toml = R"(set = "ci"

[[instances]]
parent = "mtty"
type = "mtty-2"
count = 3
attrs = [{ "vendor/speed" = "9600" }, { enable = "1" }]

[[instances]]
parent = "null"
type = "null-1"
uuids = ["83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"]
autostart = false
)";

TEST(ParseDesired, Takes_TOML) {
  const auto desired = parse_desired_toml(toml, "f.toml");
  ASSERT_TRUE(desired) << desired.error();
  EXPECT_EQ(desired->set, "ci");
  ASSERT_EQ(desired->groups.size(), 2U);
  EXPECT_EQ(desired->groups[0], (DesiredGroup{.parent = "mtty",
                                              .type = "mtty-2",
                                              .count = 3,
                                              .start = Start::automatic,
                                              .attributes = {{"vendor/speed", "9600"}, {"enable", "1"}}}));
  EXPECT_EQ(desired->groups[1].uuids.size(), 2U);
  EXPECT_EQ(desired->groups[1].start, Start::manual);
}

TEST(ParseDesired, Takes_the_same_as_JSON) {
  const auto desired = parse_desired_toml(toml, "f.toml").value();
  const auto again = parse_desired_json(format_desired(desired), "f.json");
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(*again, desired);
}

TEST(ParseDesired, A_set_may_want_nothing) {
  EXPECT_EQ(parse_desired_toml("set = \"ci\"\n", "f")->groups.size(), 0U);
  EXPECT_EQ(parse_desired_json(R"({"set":"ci","instances":[]})", "f")->groups.size(), 0U);
}

TEST(ReadDesired, The_name_of_the_file_says_which) {
  const test::ScratchDirectory scratch;
  std::ofstream(scratch / "a.toml") << toml;
  std::ofstream(scratch / "a.json") << R"({"set":"ci"})";
  EXPECT_EQ(read_desired(scratch / "a.toml")->groups.size(), 2U);
  EXPECT_EQ(read_desired(scratch / "a.json")->groups.size(), 0U);
  EXPECT_EQ(read_desired(scratch / "none").error(), scratch / "none: No such file or directory");
}

struct BadDesired {
  const char* name;
  const char* text;
  const char* error;  // how it begins
};

class BadDesiredTest : public testing::TestWithParam<BadDesired> {};

TEST_P(BadDesiredTest, Is_refused_with_file_line_and_key) {
  const auto desired = parse_desired_toml(GetParam().text, "f.toml");
  ASSERT_FALSE(desired);
  EXPECT_EQ(desired.error().substr(0, std::string_view(GetParam().error).size()), GetParam().error);
}

#define UMDEV_GROUP "set = \"ci\"\n[[instances]]\nparent = \"a\"\ntype = \"a-1\"\n"

constexpr BadDesired bad_states[] = {
    {"no_toml", "set = \n", "f.toml:1: "},
    {"no_set", "[[instances]]\n", "f.toml:1: set: a word"},
    {"set_number", "\nset = 1\n", "f.toml:2: set: a word"},
    {"set_path", "set = \"a/b\"\n", "f.toml:1: set: a word"},
    {"unknown_top", "set = \"a\"\nsets = 1\n", "f.toml:2: sets: unknown key"},
    {"one_bracket", "set = \"a\"\n[instances]\n", "f.toml:2: instances: write [[instances]]"},
    {"unknown_key", UMDEV_GROUP "count = 1\nnumber = 1\n", "f.toml:6: number: unknown key"},
    {"no_parent", "set = \"a\"\n[[instances]]\ntype = \"a\"\n", "f.toml:2: parent: is missing"},
    {"no_type", "set = \"a\"\n[[instances]]\nparent = \"a\"\n", "f.toml:2: type: is missing"},
    {"parent_up", "set = \"a\"\n[[instances]]\nparent = \"..\"\n", "f.toml:3: parent: the name"},
    {"neither", UMDEV_GROUP, "f.toml:2: count: say either"},
    {"both", UMDEV_GROUP "count = 1\nuuids = []\n", "f.toml:6: uuids: say either"},
    {"negative", UMDEV_GROUP "count = -1\n", "f.toml:5: count: a number"},
    {"fraction", UMDEV_GROUP "count = 1.5\n", "f.toml:5: count: a number"},
    {"too_many", UMDEV_GROUP "count = 65537\n", "f.toml:5: count: a number"},
    {"huge", UMDEV_GROUP "count = 9223372036854775807\n", "f.toml:5: count: a number"},
    {"no_uuids", UMDEV_GROUP "uuids = []\n", "f.toml:5: uuids: an empty list"},
    {"no_uuid", UMDEV_GROUP "uuids = [\"x\"]\n", "f.toml:5: uuids: a UUID has"},
    {"uuid_twice",
     UMDEV_GROUP
     "uuids = [\"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\", \"83B8f4f2-509f-382f-3c1e-e6bfe0fa1001\"]",
     "f.toml:5: uuids: 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 stands there twice"},
    {"autostart_text", UMDEV_GROUP "count = 1\nautostart = \"yes\"\n", "f.toml:6: autostart: true or false"},
    {"attrs_table", UMDEV_GROUP "count = 1\nattrs = { a = \"1\" }\n",
     "f.toml:6: attrs: \"attrs\" is no list"},
    {"attrs_up", UMDEV_GROUP "count = 1\nattrs = [{ \"../a\" = \"1\" }]\n",
     "f.toml:6: attrs: \"../a\" is no name"},
    {"date", UMDEV_GROUP "count = 1979-05-27\n", "f.toml:5: neither a date"},
    {"not_a_number", UMDEV_GROUP "count = nan\n", "f.toml:5: neither a date"},
};
INSTANTIATE_TEST_SUITE_P(Table, BadDesiredTest, testing::ValuesIn(bad_states),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace umdev::manage
