#include "umdev/compile/tokens.h"

#include <string>

namespace umdev::compile {
namespace {

bool begins_name(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || letter == '_';
}

bool continues_name(char letter) {
  return begins_name(letter) || (letter >= '0' && letter <= '9');
}

bool is_space(char letter) {
  return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

// Puts spaces in the place of comments and of what is between quotes, so that nothing else moves.
class Blanker {
 public:
  explicit Blanker(std::string_view source) : text_(source) {}

  std::string run() {
    while (at_ < text_.size()) {
      if (looks_at("//")) {
        blank_until("\n", false);
      } else if (looks_at("/*")) {
        blank_until("*/", true);
      } else if (text_[at_] == '"' || text_[at_] == '\'') {
        blank_quoted(text_[at_]);
      } else {
        ++at_;
      }
    }
    return std::move(text_);
  }

 private:
  bool looks_at(std::string_view mark) const { return std::string_view(text_).substr(at_).starts_with(mark); }

  void blank() {
    if (text_[at_] != '\n') text_[at_] = ' ';
    ++at_;
  }

  void blank_until(std::string_view end, bool with_end) {
    blank();
    blank();
    while (at_ < text_.size() && !looks_at(end)) blank();
    for (std::size_t left = with_end ? end.size() : 0; left > 0 && at_ < text_.size(); --left) blank();
  }

  // To the end of the line at most: an apostrophe may stand alone, as in #error.
  void blank_quoted(char quote) {
    ++at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) blank();
      blank();
    }
    if (at_ < text_.size()) ++at_;
  }

  std::string text_;
  std::size_t at_ = 0;
};

// From behind the opening parenthesis.
std::uint32_t count_arguments(std::string_view text, std::size_t at) {
  std::uint32_t commas = 0;
  std::uint32_t depth = 1;
  bool any = false;
  for (; at < text.size() && depth > 0; ++at) {
    const char letter = text[at];
    if (letter == '(' || letter == '{' || letter == '[') ++depth;
    if (letter == ')' || letter == '}' || letter == ']') --depth;
    if (letter == ',' && depth == 1) ++commas;
    if (depth > 0 && !is_space(letter)) any = true;
  }
  return any ? commas + 1 : 0;
}

}  // namespace

std::vector<Identifier> find_identifiers(std::string_view source) {
  const std::string text = Blanker(source).run();
  std::vector<Identifier> found;
  std::string_view before;
  std::uint32_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    if (!continues_name(text[at])) {
      if (text[at] == '\n') ++line;
      if (!is_space(text[at])) before = {};
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && continues_name(text[at])) ++at;
    if (!begins_name(text[begin])) {  // a number, with what hangs on it
      before = {};
      continue;
    }
    std::size_t next = at;
    while (next < text.size() && is_space(text[next])) ++next;
    Identifier identifier{.name = source.substr(begin, at - begin), .line = line, .before = before};
    identifier.is_call = next < text.size() && text[next] == '(';
    if (identifier.is_call) identifier.arguments = count_arguments(text, next + 1);
    before = identifier.name;
    found.push_back(identifier);
  }
  return found;
}

}  // namespace umdev::compile
