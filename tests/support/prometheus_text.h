// Reads the text format 0.0.4 of Prometheus, and says what is wrong with a text. Written from the format's
// description alone, so that it can judge who writes it.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace umdev::test {

class PrometheusText {
 public:
  struct Sample {
    std::string name;
    std::map<std::string, std::string> labels;
    double value = 0;
  };

  explicit PrometheusText(std::string_view text) {
    if (!text.empty() && text.back() != '\n') complain("the last line has no end");
    while (!text.empty() && problem_.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      read_line(std::string(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (problem_.empty()) check_histograms();
  }

  // Empty when the text is well-formed.
  const std::string& problem() const { return problem_; }
  const std::vector<Sample>& samples() const { return samples_; }
  const std::map<std::string, std::string>& kinds() const { return kinds_; }
  const std::map<std::string, std::string>& helps() const { return helps_; }

  // The value of a sample with these labels; nothing when there is none.
  std::optional<double> value(std::string_view name,
                              const std::map<std::string, std::string>& labels = {}) const {
    for (const Sample& sample : samples_)
      if (sample.name == name && sample.labels == labels) return sample.value;
    return std::nullopt;
  }

 private:
  void complain(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }

  static bool is_name(std::string_view text, bool colons) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
    for (const char letter : text)
      if (std::isalnum(static_cast<unsigned char>(letter)) == 0 && letter != '_' &&
          !(colons && letter == ':'))
        return false;
    return true;
  }

  void read_line(const std::string& line) {
    if (line.empty()) return;
    if (line.starts_with("# HELP ")) return read_comment(line, helps_);
    if (line.starts_with("# TYPE ")) return read_comment(line, kinds_);
    if (line[0] != '#') read_sample(line);
  }

  void read_comment(const std::string& line, std::map<std::string, std::string>& into) {
    const std::size_t begin = 7;
    const std::size_t space = line.find(' ', begin);
    if (space == std::string::npos) return complain("a comment without a text: " + line);
    const std::string name = line.substr(begin, space - begin);
    if (!is_name(name, true)) complain("no name: " + line);
    if (!into.emplace(name, line.substr(space + 1)).second) complain("said twice: " + line);
    for (const Sample& sample : samples_)
      if (family_of(sample.name) == name) complain("comes behind its samples: " + line);
  }

  // The name under which the sample's kind was told.
  std::string family_of(const std::string& name) const {
    for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
      if (!name.ends_with(suffix)) continue;
      const std::string base = name.substr(0, name.size() - suffix.size());
      const auto kind = kinds_.find(base);
      if (kind != kinds_.end() && kind->second == "histogram") return base;
    }
    return name;
  }

  void read_sample(const std::string& line) {
    Sample sample;
    std::size_t at = line.find_first_of("{ ");
    if (at == std::string::npos) return complain("no value: " + line);
    sample.name = line.substr(0, at);
    if (!is_name(sample.name, true)) return complain("no name: " + line);
    if (line[at] == '{' && !read_labels(line, at, sample.labels)) return complain("bad labels: " + line);
    if (at >= line.size() || line[at] != ' ') return complain("no value: " + line);
    const std::string number = line.substr(at + 1);
    char* end = nullptr;
    sample.value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0') return complain("no number: " + line);
    const std::string family = family_of(sample.name);
    if (!kinds_.contains(family) || !helps_.contains(family)) return complain("unexplained: " + line);
    if (!samples_.empty() && family_of(samples_.back().name) != family && !families_.insert(family).second)
      return complain("a family in two places: " + line);
    if (samples_.empty()) families_.insert(family);
    if (value(sample.name, sample.labels)) return complain("twice: " + line);
    if (kinds_[family] == "counter" && !(sample.value >= 0)) return complain("below zero: " + line);
    samples_.push_back(std::move(sample));
  }

  static bool read_labels(const std::string& line, std::size_t& at,
                          std::map<std::string, std::string>& into) {
    ++at;
    while (at < line.size() && line[at] != '}') {
      const std::size_t equals = line.find("=\"", at);
      if (equals == std::string::npos) return false;
      const std::string name = line.substr(at, equals - at);
      std::string value;
      for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] != '\\') {
          value += line[at];
          continue;
        }
        if (++at >= line.size()) return false;
        if (line[at] != 'n' && line[at] != '\\' && line[at] != '"') return false;
        value += line[at] == 'n' ? '\n' : line[at];
      }
      if (at >= line.size() || !is_name(name, false) || !into.emplace(name, value).second) return false;
      if (line[++at] == ',') ++at;
    }
    const bool closed = at < line.size() && line[at] == '}';
    ++at;
    return closed;
  }

  // Buckets rise, the last is +Inf and is the count, and there is a sum.
  void check_histograms() {
    std::map<std::pair<std::string, std::map<std::string, std::string>>, double> last;
    for (const Sample& sample : samples_) {
      const std::string family = family_of(sample.name);
      if (kinds_[family] != "histogram" || !sample.name.ends_with("_bucket")) continue;
      auto labels = sample.labels;
      const auto bound = labels.find("le");
      if (bound == labels.end()) return complain("a bucket without a bound: " + family);
      const bool infinite = bound->second == "+Inf";
      labels.erase(bound);
      double& before = last[{family, labels}];
      if (sample.value < before) return complain("buckets that fall: " + family);
      before = sample.value;
      if (!infinite) continue;
      if (value(family + "_count", labels) != sample.value) return complain("another count: " + family);
      if (!value(family + "_sum", labels)) return complain("no sum: " + family);
    }
    for (const Sample& sample : samples_) {
      if (kinds_[family_of(sample.name)] != "histogram" || !sample.name.ends_with("_count")) continue;
      auto labels = sample.labels;
      labels["le"] = "+Inf";
      if (!value(family_of(sample.name) + "_bucket", labels)) return complain("no +Inf: " + sample.name);
    }
  }

  std::string problem_;
  std::vector<Sample> samples_;
  std::map<std::string, std::string> kinds_;
  std::map<std::string, std::string> helps_;
  std::set<std::string> families_;
};

}  // namespace umdev::test
