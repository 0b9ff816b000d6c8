#include "umdev/compile/tokens.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace umdev::compile {
namespace {

std::vector<std::string> names_in(std::string_view source) {
  std::vector<std::string> names;
  for (const Identifier& identifier : find_identifiers(source)) names.emplace_back(identifier.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Tokens, names_are_found_and_numbers_are_not) {
  EXPECT_EQ(names_in("int a_1 = 0x1fUL + 2e3 + _b;"), (Names{"int", "a_1", "_b"}));
}

TEST(Tokens, comments_do_not_count) {
  EXPECT_EQ(names_in("a /* b \n b2 */ c // d\ne"), (Names{"a", "c", "e"}));
  EXPECT_EQ(names_in("a /* never closed"), Names{"a"});
}

TEST(Tokens, texts_and_character_constants_do_not_count) {
  EXPECT_EQ(names_in(R"(a "b \" c" d 'e' '\'' f)"), (Names{"a", "d", "f"}));
  EXPECT_EQ(names_in("a \"// b\" c"), (Names{"a", "c"}));
}

TEST(Tokens, a_lonely_quote_ends_with_its_line) {
  EXPECT_EQ(names_in("#error it's wrong\nnext"), (Names{"error", "it", "next"}));
}

TEST(Tokens, lines_are_counted_through_comments) {
  const auto found = find_identifiers("a\n/*\n\n*/ b \"x\n c");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].line, 1U);
  EXPECT_EQ(found[1].line, 4U);
  EXPECT_EQ(found[2].line, 5U);
}

TEST(Tokens, the_arguments_of_a_call_are_counted) {
  struct Case {
    std::string_view source;
    std::uint32_t arguments;
  };
  for (const Case& one : {Case{"f()", 0}, Case{"f( )", 0}, Case{"f(a)", 1}, Case{"f (a,\n b)", 2},
                          Case{"f(g(a, b), (struct s){1, 2}, c[i, j])", 3}, Case{"f(a, \",\" /* , */)", 2},
                          Case{"f(\")\", b)", 2}, Case{"f(a, b", 2}}) {
    const auto found = find_identifiers(one.source);
    ASSERT_FALSE(found.empty());
    EXPECT_TRUE(found[0].is_call) << one.source;
    EXPECT_EQ(found[0].arguments, one.arguments) << one.source;
  }
}

TEST(Tokens, what_is_no_call_has_no_arguments) {
  const auto found = find_identifiers(".f = g, h");
  ASSERT_EQ(found.size(), 3U);
  for (const Identifier& identifier : found) EXPECT_FALSE(identifier.is_call);
}

TEST(Tokens, the_word_before_is_known_where_only_space_is_between) {
  const auto found = find_identifiers("struct a; b, c /* d */ e");
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[1].before, "struct");
  EXPECT_EQ(found[2].before, "");
  EXPECT_EQ(found[3].before, "");
  EXPECT_EQ(found[4].before, "c");
}

RC_GTEST_PROP(Tokens, any_bytes_give_pieces_of_the_source_in_order, (const std::string& source)) {
  const char* last = source.data();
  for (const Identifier& identifier : find_identifiers(source)) {
    RC_ASSERT(!identifier.name.empty());
    RC_ASSERT(identifier.name.data() >= last);
    last = identifier.name.data() + identifier.name.size();
    RC_ASSERT(last <= source.data() + source.size());
  }
}

}  // namespace
}  // namespace umdev::compile
