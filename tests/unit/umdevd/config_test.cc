#include "apps/umdevd/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

namespace umdev::daemon {
namespace {

TEST(DefaultConfig, Has_one_parent_of_each_driver) {
  const Config config = default_config();
  ASSERT_EQ(config.parents.size(), 3U);
  EXPECT_EQ(config.parents[0].name, "ioat");
  EXPECT_EQ(config.parents[0].options, std::vector<std::uint32_t>{64});
  EXPECT_EQ(config.parents[1].name, "mtty");
  EXPECT_EQ(config.parents[1].options, std::vector<std::uint32_t>{24});
  EXPECT_EQ(config.parents[2].name, "null");
  EXPECT_EQ(config.parents[2].options, (std::vector<std::uint32_t>{65536, 1}));
}

TEST(ParseConfig, Takes_several_parents_of_one_driver) {
  const auto config = parse_config(R"(
[[parent]]
driver = "mtty"
name = "left"
ports = 3

[[parent]]
driver = "mtty"
name = "right"
)",
                                   "f");
  ASSERT_TRUE(config) << config.error();
  ASSERT_EQ(config->parents.size(), 2U);
  EXPECT_EQ(config->parents[0].name, "left");
  EXPECT_EQ(config->parents[0].driver->name, "mtty");
  EXPECT_EQ(config->parents[0].options, std::vector<std::uint32_t>{3});
  EXPECT_EQ(config->parents[1].options, std::vector<std::uint32_t>{24});
}

TEST(ParseConfig, A_parent_is_called_as_its_driver_when_it_has_no_name) {
  EXPECT_EQ(parse_config("[[parent]]\ndriver = \"null\"\n", "f")->parents[0].name, "null");
}

constexpr const char* opened = R"(
[control]
group = "0"
mode = "0660"
[sockets]
owner = "7"
mode = "660"
[[parent]]
driver = "mtty"
sockets = { group = "9" }
types = { "mtty-2" = { sockets = { owner = "8", mode = "0600" } } }
[[parent]]
driver = "null"
)";

TEST(SocketAccess, The_nearest_that_says_something_counts) {
  const auto config = parse_config(opened, "f");
  ASSERT_TRUE(config) << config.error();
  const auto of = [&](const char* parent, const char* type) {
    const auto file = socket_file(*config, parent, type);
    return std::tuple(file.owner.value_or(99), file.group.value_or(99), file.mode);
  };
  EXPECT_EQ(of("mtty", "mtty-2"), std::tuple(8U, 9U, 0600U));
  EXPECT_EQ(of("mtty", "mtty-1"), std::tuple(7U, 9U, 0660U));
  EXPECT_EQ(of("null", "null-1"), std::tuple(7U, 99U, 0660U));
  EXPECT_EQ(control_socket_file(*config).mode, 0660U);
  EXPECT_EQ(control_socket_file(*config).group, 0U);
}

TEST(SocketAccess, Nothing_is_opened_unless_it_is_said) {
  const auto config = default_config();
  EXPECT_EQ(socket_file(config, "mtty", "mtty-1").mode, 0600U);
  EXPECT_EQ(control_socket_file(config).mode, 0600U);
  EXPECT_FALSE(opens_anything(config));
}

TEST(SocketAccess, Directories_are_opened_for_what_is_in_them) {
  const auto parse = [](const std::string& text) {
    return parse_config(text + "[[parent]]\ndriver = \"mtty\"\n", "f").value();
  };
  EXPECT_TRUE(opens_anything(parse("[control]\nmode = \"0660\"\n")));
  EXPECT_FALSE(opens_sockets(parse("[control]\nmode = \"0660\"\n")));
  EXPECT_TRUE(opens_sockets(parse("[sockets]\nowner = \"5\"\n")));
  EXPECT_FALSE(opens_anything(parse("[sockets]\ngroup = \"5\"\n")));
  EXPECT_TRUE(opens_sockets(parse_config(opened, "f").value()));
}

struct BadConfig {
  const char* name;
  const char* text;
  const char* error;  // how the message begins
};

class BadConfigTest : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, Is_refused_with_file_line_and_key) {
  const auto config = parse_config(GetParam().text, "umdev.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().substr(0, std::string_view(GetParam().error).size()), GetParam().error);
}

constexpr BadConfig bad_configs[] = {
    {"empty", "", "umdev.toml: it names no parent"},
    {"no_toml", "[[parent]]\ndriver = \n", "umdev.toml:2: "},
    {"key_twice", "[[parent]]\ndriver = \"null\"\ndriver = \"null\"\n", "umdev.toml:3: "},
    {"control_number", "control = 1\n", "umdev.toml:1: control: a table of owner"},
    {"access_key", "[control]\nuser = \"0\"\n", "umdev.toml:2: user: unknown key"},
    {"owner_number", "[sockets]\nowner = 0\n", "umdev.toml:2: owner: a user of this machine"},
    {"owner_unknown", "[sockets]\nowner = \"no such user\"\n", "umdev.toml:2: owner: a user of this machine"},
    {"group_unknown", "[sockets]\ngroup = \"no such group\"\n", "umdev.toml:2: group: a group of this"},
    {"owner_huge", "[sockets]\nowner = \"4294967295\"\n", "umdev.toml:2: owner: a user of this machine"},
    {"mode_number", "[sockets]\nmode = 660\n", "umdev.toml:2: mode: octal digits in quotes"},
    {"mode_digits", "[sockets]\nmode = \"0689\"\n", "umdev.toml:2: mode: octal digits"},
    {"mode_setuid", "[sockets]\nmode = \"4600\"\n", "umdev.toml:2: mode: octal digits"},
    {"mode_useless", "[sockets]\nmode = \"0060\"\n", "umdev.toml:2: mode: octal digits"},
    {"type_unknown", "[[parent]]\ndriver = \"mtty\"\n[parent.types.mtty-3]\n",
     "umdev.toml:3: mtty-3: the driver mtty has no such type"},
    {"type_key", "[[parent]]\ndriver = \"mtty\"\n[parent.types.mtty-1]\nnodes = 1\n",
     "umdev.toml:4: nodes: unknown key"},
    {"unknown_table", "[[parent]]\ndriver = \"null\"\n[log]\nlevel = 1\n", "umdev.toml:3: log: unknown key"},
    {"one_bracket", "[parent]\ndriver = \"null\"\n", "umdev.toml:1: parent: write [[parent]]"},
    {"no_driver", "\n[[parent]]\nname = \"x\"\n",
     R"(umdev.toml:2: driver: is missing; one of "ioat", "mtty", "null")"},
    {"unknown_driver", "[[parent]]\ndriver = \"gpu\"\n", "umdev.toml:2: driver: not one of"},
    {"driver_number", "[[parent]]\ndriver = 1\n", "umdev.toml:2: driver: not one of"},
    {"unknown_key", "[[parent]]\ndriver = \"mtty\"\nport = 2\n",
     "umdev.toml:3: port: the driver mtty has no such key"},
    {"key_of_another_driver", "[[parent]]\ndriver = \"null\"\nports = 2\n",
     "umdev.toml:3: ports: the driver null"},
    {"zero", "[[parent]]\ndriver = \"mtty\"\nports = 0\n",
     "umdev.toml:3: ports: a number of serial ports from 1"},
    {"negative", "[[parent]]\ndriver = \"mtty\"\nports = -1\n", "umdev.toml:3: ports:"},
    {"too_large", "[[parent]]\ndriver = \"mtty\"\nports = 4294967297\n", "umdev.toml:3: ports:"},
    {"text_for_number", "[[parent]]\ndriver = \"mtty\"\nports = \"2\"\n", "umdev.toml:3: ports:"},
    {"fraction", "[[parent]]\ndriver = \"mtty\"\nports = 2.0\n", "umdev.toml:3: ports:"},
    {"name_with_slash", "[[parent]]\ndriver = \"mtty\"\nname = \"a/b\"\n", "umdev.toml:3: name: a word"},
    {"name_dots", "[[parent]]\ndriver = \"mtty\"\nname = \"..\"\n", "umdev.toml:3: name: a word"},
    {"name_empty", "[[parent]]\ndriver = \"mtty\"\nname = \"\"\n", "umdev.toml:3: name: a word"},
    {"name_number", "[[parent]]\ndriver = \"mtty\"\nname = 1\n", "umdev.toml:3: name: a word"},
    {"name_twice",
     "[[parent]]\ndriver = \"mtty\"\nname = \"a\"\n[[parent]]\ndriver = \"null\"\nname = \"a\"\n",
     "umdev.toml:6: name: two parents"},
};
INSTANTIATE_TEST_SUITE_P(ParseConfig, BadConfigTest, testing::ValuesIn(bad_configs),
                         [](const auto& bad) { return std::string(bad.param.name); });

TEST(ReadConfig, A_file_that_is_not_there_is_named) {
  const auto config = read_config("/nonexistent/umdev.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error(), "/nonexistent/umdev.toml: No such file or directory");
}

TEST(Drivers, Every_driver_makes_a_parent_with_types) {
  for (const DriverEntry& driver : all_drivers()) {
    std::vector<std::uint32_t> values;
    for (const DriverOption& option : driver.options) {
      EXPECT_GE(option.fallback, option.min);
      EXPECT_LE(option.fallback, option.max);
      values.push_back(option.fallback);
    }
    const MadeParent made = driver.make(values);
    EXPECT_FALSE(made.spec.types.empty()) << driver.name;
    EXPECT_NE(made.driver, nullptr);
    EXPECT_EQ(find_driver(driver.name), &driver);
  }
  EXPECT_EQ(find_driver("none"), nullptr);
}

}  // namespace
}  // namespace umdev::daemon
