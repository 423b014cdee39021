// SPDX-License-Identifier: Apache-2.0
#include "expr/regex.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "base/regex_cost.h"
#include "expr/unicode.h"

namespace millrace::expr {
namespace {

constexpr int kMostGroups = 100;  // the matcher keeps the places of all for each instruction
constexpr std::string_view kWord = "\\pL\\pN_";
constexpr std::string_view kSpace = "\\t-\\r\\x1c-\\x20\\x85\\pZ";

// From Python's spelling to RE2's: classes of Unicode, \Z, {,n}, comments, inline flags.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      char c = in_[at_];
      if (c == '\\') {
        TRY(escape());
      } else if (in_class_) {
        class_character(c);
      } else if (c == '[') {
        open_class();
      } else if (rest().starts_with("(?")) {
        TRY(group());
      } else if (rest().starts_with("{,") && in_.find_first_of("0123456789", at_) == at_ + 2) {
        out_ += "{0,";
        at_ += 2;
      } else {
        if (c == '$') dollar_ = true;
        out_ += c;
        ++at_;
      }
    }
    return out_;
  }
  bool has_dollar() const { return dollar_ && !multi_line_; }

 private:
  std::string_view rest() const { return in_.substr(at_); }

  void open_class() {
    in_class_ = true;
    out_ += '[';
    ++at_;
    if (rest().starts_with('^')) {
      out_ += '^';
      ++at_;
    }
    if (rest().starts_with(']')) {
      out_ += "\\]";
      ++at_;
    }
  }

  void class_character(char c) {
    if (c == ']') in_class_ = false;
    if (c == '[') out_ += '\\';
    out_ += c;
    ++at_;
  }

  Result<void> group() {
    std::string_view inside = rest().substr(2);
    for (std::string_view look : {"=", "!", "<=", "<!"}) {
      if (inside.starts_with(look)) return refuse("look-ahead and look-behind are");
    }
    if (inside.starts_with("P=")) return refuse("a back reference is");
    if (inside.starts_with("(")) return refuse("a conditional group is");
    if (inside.starts_with('#')) {
      size_t end = in_.find(')', at_);
      if (end == std::string_view::npos)
        return eval_error("error: missing ), unterminated comment");
      at_ = end + 1;
      return {};
    }
    out_ += "(?";
    at_ += 2;
    for (; at_ < in_.size() && ((in_[at_] | 0x20) >= 'a' && (in_[at_] | 0x20) <= 'z'); ++at_) {
      char flag = in_[at_];
      if (flag == 'P') break;
      if (flag == 'x') return refuse("the flag x is");
      if (flag == 'm') multi_line_ = true;
      if (flag == 'i' || flag == 'm' || flag == 's') out_ += flag;
    }
    if (out_.ends_with("(?") && rest().starts_with(')')) {  // only flags that RE2 needs not
      out_.resize(out_.size() - 2);
      ++at_;
    }
    return {};
  }

  Result<void> escape() {
    if (at_ + 1 >= in_.size()) return eval_error("error: bad escape (end of pattern)");
    char c = in_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 'd': out_ += "\\p{Nd}"; return {};
      case 'D': out_ += "\\P{Nd}"; return {};
      case 'w':
      case 's': {
        std::string_view set = c == 'w' ? kWord : kSpace;
        out_ += in_class_ ? std::string(set) : fmt::format("[{}]", set);
        return {};
      }
      case 'W':
      case 'S':
        // Inside a class RE2 cannot negate these; its own ASCII sense must do.
        out_ +=
            in_class_ ? fmt::format("\\{}", c) : fmt::format("[^{}]", c == 'W' ? kWord : kSpace);
        return {};
      case 'Z': out_ += "\\z"; return {};
      case 'u':
      case 'U': {
        size_t digits = c == 'u' ? 4 : 8;
        if (at_ + digits > in_.size()) return eval_error("error: incomplete escape");
        out_ += fmt::format("\\x{{{}}}", in_.substr(at_, digits));
        at_ += digits;
        return {};
      }
      default: break;
    }
    if (c >= '1' && c <= '9' && !in_class_) return refuse("a back reference is");
    bool plain = static_cast<unsigned char>(c) >= 0x80 || c == '_' || c == '\n';
    if (in_class_ && c == 'b') {
      out_ += "\\x08";
    } else if (plain) {
      out_ += c;
    } else {
      out_ += '\\';
      out_ += c;
    }
    return {};
  }

  static Error refuse(std::string_view what) {
    return unsupported(
        fmt::format("{} not supported in regular expressions: they run in linear time", what));
  }

  std::string_view in_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
  bool dollar_ = false;
  bool multi_line_ = false;
};

}  // namespace

Regex::~Regex() = default;

Result<std::shared_ptr<const Regex>> Regex::compile(Meter& meter, std::string_view pattern,
                                                    RegexFlags flags) {
  TRY(meter.step(pattern.size() / 16));
  Translator translator(pattern);
  TRY(std::string translated, translator.run());
  auto demand = regex_demand(translated, flags.ignore_case, pattern.size());
  if (!demand.refusal.empty()) return value_error(std::move(demand.refusal));
  TRY(meter.step(demand.steps));
  if (flags.multi_line) translated = "(?m)" + translated;
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(!flags.ignore_case);
  options.set_dot_nl(flags.dot_all);
  options.set_max_mem(kRegexMemory);
  std::shared_ptr<Regex> regex(new Regex);
  regex->re_ = std::make_unique<re2::RE2>(translated, options);
  if (!regex->re_->ok()) {
    return eval_error(
        fmt::format("error: bad regular expression '{}': {}", pattern, regex->re_->error()));
  }
  if (int groups = regex->re_->NumberOfCapturingGroups(); groups > kMostGroups) {
    return value_error(fmt::format("a regular expression has {} groups: at most {} are allowed",
                                   groups, kMostGroups));
  }
  regex->pattern_ = pattern;
  regex->places_ = regex_places(translated, *regex->re_);
  regex->groups_ = static_cast<size_t>(regex->re_->NumberOfCapturingGroups());
  for (const auto& [name, index] : regex->re_->NamedCapturingGroups()) {
    regex->names_.emplace_back(name, index);
  }
  std::sort(regex->names_.begin(), regex->names_.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  regex->dollar_ = translator.has_dollar() && !flags.multi_line;
  return std::shared_ptr<const Regex>(std::move(regex));
}

// Some 400 ns for each instruction.
uint64_t Regex::compile_steps() const { return static_cast<uint64_t>(re_->ProgramSize()) * 8; }

std::optional<Match> Regex::find(std::string_view text, size_t start, bool at_start) const {
  std::vector<re2::StringPiece> groups(groups_ + 1);
  bool matched = re_->Match(re2::StringPiece(text.data(), text.size()), start, text.size(),
                            at_start ? re2::RE2::ANCHOR_START : re2::RE2::UNANCHORED, groups.data(),
                            static_cast<int>(groups.size()));
  if (!matched) return {};
  Match match;
  for (const auto& group : groups) {
    if (group.data() == nullptr) {
      match.groups.emplace_back();
    } else {
      auto begin = static_cast<size_t>(group.data() - text.data());
      match.groups.emplace_back(std::pair(begin, begin + group.size()));
    }
  }
  return match;
}

// Python's `$` also matches before a last line end: of the two readings the leftmost match counts,
// then the longer one.
std::optional<Match> Regex::find_from(std::string_view text, size_t start, bool at_start) const {
  auto whole = find(text, start, at_start);
  if (!dollar_ || !text.ends_with('\n') || start >= text.size()) return whole;
  auto chopped = find(text.substr(0, text.size() - 1), start, at_start);
  if (!whole || !chopped) return whole ? whole : chopped;
  if (chopped->begin() != whole->begin())
    return chopped->begin() < whole->begin() ? chopped : whole;
  return chopped->end() > whole->end() ? chopped : whole;
}

Result<std::optional<Match>> Regex::search(Meter& meter, std::string_view text,
                                           bool at_start) const {
  TRY(meter.step(regex_steps(text.size(), places_)));
  return find_from(text, 0, at_start);
}

// What a search went through. How far it looked ahead nobody tells: a part of the rest stands for
// it.
Result<void> MatchCursor::charge(Meter& meter, const Match* match) const {
  size_t rest = text_.size() - std::min(at_, text_.size());
  size_t passed = match ? match->end() - std::min(at_, match->end()) : rest;
  return meter.step(regex_steps(passed, regex_.places()) + regex_.group_count() / 8 + rest / 256 +
                    rest * regex_.places() / 4096);
}

Result<std::optional<Match>> MatchCursor::next(Meter& meter) {
  std::optional<Match> none;
  // The first search is paid for as the worst one, before.
  bool is_first = !std::exchange(begun_, true);
  if (is_first) TRY(meter.step(regex_steps(text_.size(), regex_.places())));
  while (at_ <= text_.size()) {
    auto match = regex_.find_from(text_, at_, false);
    if (!std::exchange(is_first, false)) TRY(charge(meter, match ? &*match : nullptr));
    if (!match) {
      at_ = text_.size() + 1;
      return none;
    }
    bool empty = match->begin() == match->end();
    // Two empty matches never lie at one place.
    if (empty && last_end_ == match->begin()) {
      last_end_.reset();
      at_ = match->begin() +
            (match->begin() < text_.size() ? unicode::width(text_, match->begin()) : 1);
      continue;
    }
    if (empty) {
      last_end_ = match->end();
    } else {
      last_end_.reset();
    }
    at_ = match->end();
    return match;
  }
  return none;
}

namespace {

// A replacement template, cut into literal text and group numbers.
struct Piece {
  std::string text;
  int group = -1;
};

Result<int> group_number(const Regex& regex, std::string_view name) {
  if (!name.empty() && name.find_first_not_of("0123456789") == name.npos && name.size() < 6) {
    int n = std::stoi(std::string(name));
    if (static_cast<size_t>(n) <= regex.group_count()) return n;
  }
  for (const auto& [known, index] : regex.group_names()) {
    if (known == name) return index;
  }
  return eval_error(fmt::format("IndexError: unknown group name '{}'", name));
}

Result<std::vector<Piece>> parse_template(Meter& meter, const Regex& regex, std::string_view text) {
  auto most = 1 + 2 * static_cast<size_t>(std::count(text.begin(), text.end(), '\\'));
  TRY(meter.take(most * sizeof(Piece)));
  constexpr std::string_view kLetters = "abfnrtv\\";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
  std::vector<Piece> pieces(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      pieces.back().text += text[i];
      continue;
    }
    char c = text[++i];
    std::string_view name;
    if (c == 'g' && i + 1 < text.size() && text[i + 1] == '<') {
      size_t end = text.find('>', i);
      if (end == std::string_view::npos) return eval_error("error: missing >, unterminated name");
      name = text.substr(i + 2, end - i - 2);
      i = end;
    } else if (c >= '1' && c <= '9') {
      size_t digits = i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9' ? 2 : 1;
      name = text.substr(i, digits);
      i += digits - 1;
    } else if (c == '0') {
      pieces.back().text += '\0';
      continue;
    } else if (size_t at = kLetters.find(c); at != std::string_view::npos) {
      pieces.back().text += kMeanings[at];
      continue;
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') {
      return eval_error(fmt::format("error: bad escape \\{}", c));
    } else {
      pieces.back().text += '\\';
      pieces.back().text += c;
      continue;
    }
    TRY(int group, group_number(regex, name));
    pieces.push_back({.group = group});
    pieces.emplace_back();
  }
  return pieces;
}

}  // namespace

Result<std::string> Regex::replace(Meter& meter, std::string_view text,
                                   std::string_view replacement, int64_t count) const {
  TRY(auto pieces, parse_template(meter, *this, replacement));
  std::string out;
  size_t at = 0;
  MatchCursor cursor(*this, text);
  for (int64_t done = 0; count <= 0 || done < count; ++done) {
    TRY(auto match, cursor.next(meter));
    if (!match) break;
    auto put = [&](std::string_view part) -> Result<void> {
      TRY(meter.room(out.size(), part.size()));
      out += part;
      return {};
    };
    TRY(put(text.substr(at, match->begin() - at)));
    TRY(meter.step(pieces.size() / 16));
    for (const auto& piece : pieces) {
      TRY(put(piece.text));
      if (piece.group < 0) continue;
      const auto& group = match->groups[static_cast<size_t>(piece.group)];
      if (group) TRY(put(text.substr(group->first, group->second - group->first)));
    }
    at = match->end();
  }
  TRY(meter.room(out.size(), text.size() - at));
  out += text.substr(at);
  return out;
}

Result<std::shared_ptr<const Regex>> RegexCache::get(Meter& meter, std::string_view pattern,
                                                     RegexFlags flags) {
  if (pattern.size() > 10'000)
    return value_error("a regular expression is longer than 10000 bytes");
  std::string key = fmt::format("{}{}{}{}", flags.ignore_case ? 1 : 0, flags.multi_line ? 1 : 0,
                                flags.dot_all ? 1 : 0, pattern);
  if (auto found = entries_.find(key); found != entries_.end()) return found->second;
  TRY(auto regex, Regex::compile(meter, pattern, flags));
  TRY(meter.step(regex->compile_steps()));
  if (entries_.size() >= kMaxEntries) entries_.clear();
  entries_.emplace(std::move(key), regex);
  return regex;
}

}  // namespace millrace::expr
