// SPDX-License-Identifier: Apache-2.0
#include "rules/operators.h"

#include <fmt/format.h>
#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/regex_cost.h"
#include "base/text.h"
#include "rules/dates.h"
#include "rules/fold.h"

namespace millrace::rules {
namespace {

struct Name {
  std::string_view text;
  Operator op;
};
// The first name of an operator is the one that is shown.
constexpr Name kNames[] = {
    {"equals", Operator::Equals},
    {"eq", Operator::Equals},
    {"nequals", Operator::NotEquals},
    {"neq", Operator::NotEquals},
    {"iequals", Operator::EqualsIgnoreCase},
    {"ieq", Operator::EqualsIgnoreCase},
    {"contains", Operator::Contains},
    {"icontains", Operator::ContainsIgnoreCase},
    {"ncontains", Operator::ContainsNot},
    {"incontains", Operator::ContainsNotIgnoreCase},
    {"startswith", Operator::StartsWith},
    {"istartswith", Operator::StartsWithIgnoreCase},
    {"endswith", Operator::EndsWith},
    {"iendswith", Operator::EndsWithIgnoreCase},
    {"lessthan", Operator::LessThan},
    {"lt", Operator::LessThan},
    {"greaterthan", Operator::GreaterThan},
    {"gt", Operator::GreaterThan},
    {"matchwildcard", Operator::Wildcard},
    {"matchregex", Operator::MatchRegex},
    {"regex", Operator::Regex},
    {"iregex", Operator::RegexIgnoreCase},
    {"timediff_lt", Operator::AgeLessThan},
    {"td_lt", Operator::AgeLessThan},
    {"timediff_gt", Operator::AgeGreaterThan},
    {"td_gt", Operator::AgeGreaterThan},
    {"exists", Operator::Exists},
    {"nexists", Operator::ExistsNot},
    {"inside", Operator::Inside},
    {"in", Operator::Inside},
    {"ninside", Operator::InsideNot},
    {"nin", Operator::InsideNot},
    {"search", Operator::Search},
};
constexpr auto kNameTexts = [] {
  std::array<std::string_view, std::size(kNames)> texts;
  for (size_t i = 0; i < texts.size(); ++i) texts[i] = kNames[i].text;
  return texts;
}();

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

// Python's spelling of a regex in RE2's: without (?m), `$` also matches before a last newline,
// and `\Z` is `\z`.
std::string from_python(std::string_view pattern) {
  bool multiline = pattern.find("(?m") != pattern.npos;
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char escaped = pattern[++i];
      out += '\\';
      out += escaped == 'Z' && !in_class ? 'z' : escaped;
    } else if (in_class) {
      in_class = c != ']';
      out += c;
    } else if (c == '[') {
      in_class = true;
      out += c;
      // A ']' that comes first belongs to the class.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
        out += "\\]";
        ++i;
      }
    } else if (c == '$' && !multiline) {
      out += "(?:\\n?\\z)";
    } else {
      out += c;
    }
  }
  return out;
}

// The end of `[...]` in a shell pattern whose '[' stands before `from`, or npos.
size_t class_end(std::string_view pattern, size_t from) {
  if (from < pattern.size() && pattern[from] == '!') ++from;
  if (from < pattern.size() && pattern[from] == ']') ++from;
  return pattern.find(']', from);
}

// Shell patterns as Python's fnmatch reads them: * ? [seq] [!seq].
std::string from_wildcard(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    size_t end = c == '[' ? class_end(pattern, i + 1) : pattern.npos;
    if (c == '*') {
      out += ".*";
    } else if (c == '?') {
      out += '.';
    } else if (end != pattern.npos) {
      out += '[';
      for (++i; i < end; ++i) {
        bool negates = pattern[i] == '!' && out.back() == '[';
        if (negates) {
          out += '^';
        } else {
          if (std::string_view("\\[]^&~|").find(pattern[i]) != std::string_view::npos) out += '\\';
          out += pattern[i];
        }
      }
      out += ']';
    } else {
      // Literal run up to the next special character, in one piece for QuoteMeta's sake (UTF-8).
      size_t stop = std::min(pattern.find_first_of("*?[", i + 1), pattern.size());
      out += RE2::QuoteMeta(piece(pattern.substr(i, stop - i)));
      i = stop - 1;
    }
  }
  return out;
}

struct Recipe {
  std::string pattern;
  bool ignore_case = false;
  bool dot_is_newline = false;
};

// The regex that an operator runs, if it runs one.
std::optional<Recipe> recipe(Operator op, std::string_view pattern) {
  switch (op) {
    case Operator::Wildcard: return Recipe{"\\A" + from_wildcard(pattern) + "\\z", false, true};
    case Operator::MatchRegex: return Recipe{"\\A(?:" + from_python(pattern) + ")", false, true};
    case Operator::Regex: return Recipe{from_python(pattern)};
    case Operator::RegexIgnoreCase: return Recipe{from_python(pattern), true};
    default: return std::nullopt;
  }
}

RE2::Options options_of(const Recipe& wanted) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(!wanted.ignore_case);
  options.set_dot_nl(wanted.dot_is_newline);
  options.set_max_mem(kRegexMemory);
  return options;
}

bool ignores_case(Operator op) {
  switch (op) {
    case Operator::EqualsIgnoreCase:
    case Operator::ContainsIgnoreCase:
    case Operator::ContainsNotIgnoreCase:
    case Operator::StartsWithIgnoreCase:
    case Operator::EndsWithIgnoreCase: return true;
    default: return false;
  }
}

bool is_text_operator(Operator op) {
  return recipe(op, {}).has_value() || ignores_case(op) || op == Operator::StartsWith ||
         op == Operator::EndsWith;
}

// A bool counts as 0 or 1.
std::optional<Value> as_number(const Value& value) {
  if (value.is_bool()) return Value(value.as_bool() ? 1 : 0);
  if (value.is_number()) return value;
  return std::nullopt;
}

// Python's `a < b`; nothing when the kinds do not compare.
std::optional<bool> less(const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) return a.as_string() < b.as_string();
  auto x = as_number(a), y = as_number(b);
  if (x && y) return std::is_lt(compare_numbers(*x, *y));
  return std::nullopt;
}

// Python's `part in whole`; nothing when the kinds do not allow the question.
std::optional<bool> is_in(const Value& part, const Value& whole) {
  if (whole.is_list()) {
    return std::ranges::find(whole.as_list(), part) != whole.as_list().end();
  }
  if (whole.is_map()) return part.is_string() && whole.find(part.as_string()) != nullptr;
  if (!whole.is_string() || !part.is_string()) return std::nullopt;
  return find_in(whole.as_string(), part.as_string()) != std::string_view::npos;
}

// Bytes of texts and values of containers that comparing it may look at.
uint64_t weight(const Value& value) {
  constexpr uint64_t kBytesPerStep = 64;
  uint64_t steps = 1;
  if (value.is_string()) steps += value.size() / kBytesPerStep;
  if (value.is_list()) {
    for (const Value& item : value.as_list()) steps += weight(item);
  }
  if (value.is_map()) {
    for (const auto& entry : value.as_map()) steps += 1 + weight(entry.value);
  }
  return steps;
}

constexpr uint64_t kFoldedPerStep = 4;  // bytes of letters beyond ASCII; others are far cheaper

const Value kNull;

}  // namespace

std::optional<Operator> parse_operator(std::string_view name) {
  for (const Name& entry : kNames) {
    if (iequals_ascii(entry.text, name)) return entry.op;
  }
  return std::nullopt;
}

std::string_view to_string(Operator op) { return std::ranges::find(kNames, op, &Name::op)->text; }

std::span<const std::string_view> operator_names() { return kNameTexts; }

std::vector<std::string_view> wildcard_literals(std::string_view pattern) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    size_t end = pattern[i] == '[' ? class_end(pattern, i + 1) : i;
    bool is_special = pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[';
    if (!is_special || end == pattern.npos) continue;
    out.push_back(pattern.substr(begin, i - begin));
    i = end;
    begin = end + 1;
  }
  out.push_back(pattern.substr(begin));
  return out;
}

std::string pattern_fault(Operator op, const Value& pattern) {
  if (pattern.is_null()) return {};
  if (is_text_operator(op) && !pattern.is_string()) {
    return fmt::format("{}: expected a text, found {}", to_string(op), pattern.type_name());
  }
  bool is_age = op == Operator::AgeLessThan || op == Operator::AgeGreaterThan;
  if (is_age && !as_number(pattern)) {
    return fmt::format("{}: expected a number of seconds, found {}", to_string(op),
                       pattern.type_name());
  }
  return {};
}

Result<uint64_t> Matcher::compile_steps(Operator op, const Value& pattern) {
  bool is_short = pattern.is_string() && pattern.size() <= kMostRegexBytes;
  auto wanted =
      pattern.is_string() ? recipe(op, is_short ? pattern.as_string() : "") : std::nullopt;
  if (!wanted) return weight(pattern);
  auto demand = regex_demand(wanted->pattern, wanted->ignore_case, pattern.size());
  if (demand.refusal.empty()) return demand.steps;
  return Error(ErrorKind::Invalid, "RUL-0002",
               fmt::format("{}: {}", to_string(op), demand.refusal));
}

Result<Matcher> Matcher::create(Operator op, Value pattern) {
  ASSERT(op != Operator::Search);
  TRY(compile_steps(op, pattern));
  Matcher matcher(op, std::move(pattern));
  const Value& own = matcher.pattern_;
  matcher.pattern_steps_ = weight(own);
  if (own.is_string() && ignores_case(op)) matcher.folded_ = fold(own.as_string());
  auto wanted = own.is_string() ? recipe(op, own.as_string()) : std::nullopt;
  if (!wanted) return matcher;
  auto regex = std::make_shared<const RE2>(wanted->pattern, options_of(*wanted));
  if (!regex->ok()) {
    return Error(ErrorKind::Invalid, "RUL-0002",
                 fmt::format("bad regular expression '{}': {} (regexes run in linear time: "
                             "look-around and back-references are not supported)",
                             own.as_string(), regex->error()));
  }
  matcher.places_ = regex_places(wanted->pattern, *regex);
  matcher.regex_ = std::move(regex);
  return matcher;
}

uint64_t Matcher::steps(const Value* found) const {
  if (!found) return 1;
  if (regex_ && found->is_string()) return regex_steps(found->size(), places_);
  if (ignores_case(op_) && found->is_string()) return 1 + found->size() / kFoldedPerStep;
  switch (op_) {
    case Operator::Exists:
    case Operator::ExistsNot: return 1;
    case Operator::Inside:
    case Operator::InsideNot: return pattern_steps_;
    case Operator::Contains:
    case Operator::ContainsNot: return weight(*found);
    default: return found->kind() == pattern_.kind() ? pattern_steps_ : 1;
  }
}

bool Matcher::holds(const Value* found, int64_t now_ms) const {
  const Value& value = found ? *found : kNull;
  switch (op_) {
    case Operator::Exists: return !value.is_null();
    case Operator::ExistsNot: return value.is_null();
    case Operator::NotEquals: return !(value == pattern_);
    default: break;
  }
  if (pattern_.is_null()) return false;
  switch (op_) {
    case Operator::Equals: return value == pattern_;
    case Operator::Contains: return is_in(pattern_, value).value_or(false);
    case Operator::ContainsNot: return !is_in(pattern_, value).value_or(true);
    case Operator::Inside: return is_in(value, pattern_).value_or(false);
    case Operator::InsideNot: return !is_in(value, pattern_).value_or(true);
    case Operator::LessThan: return less(value, pattern_).value_or(false);
    case Operator::GreaterThan: return less(pattern_, value).value_or(false);
    case Operator::AgeLessThan:
    case Operator::AgeGreaterThan: return value.is_string() && age_holds(value.as_string(), now_ms);
    default: return value.is_string() && pattern_.is_string() && text_holds(value.as_string());
  }
}

bool Matcher::text_holds(std::string_view text) const {
  if (op_ == Operator::StartsWith) return text.starts_with(pattern_.as_string());
  if (op_ == Operator::EndsWith) return text.ends_with(pattern_.as_string());
  if (regex_) return RE2::PartialMatch(piece(text), *regex_);
  std::string folded = fold(text);
  switch (op_) {
    case Operator::EqualsIgnoreCase: return folded == folded_;
    case Operator::ContainsIgnoreCase: return find_in(folded, folded_) != folded.npos;
    case Operator::ContainsNotIgnoreCase: return find_in(folded, folded_) == folded.npos;
    case Operator::StartsWithIgnoreCase: return folded.starts_with(folded_);
    default: return folded.ends_with(folded_);
  }
}

std::vector<std::vector<std::string>> Matcher::needed_texts() const {
  constexpr int kShortest = 2;
  constexpr size_t kMost = 64;
  auto wanted = pattern_.is_string() ? recipe(op_, pattern_.as_string()) : std::nullopt;
  if (!wanted) return {};
  re2::FilteredRE2 filter(kShortest);
  int id = 0;
  std::vector<std::string> texts;
  if (filter.Add(wanted->pattern, options_of(*wanted), &id) != RE2::NoError) return {};
  filter.Compile(&texts);
  auto may_match_with = [&](const std::vector<int>& given) {
    std::vector<int> ids;
    filter.AllPotentials(given, &ids);
    return !ids.empty();
  };
  if (texts.size() > kMost || may_match_with({})) return {};
  std::vector<std::vector<std::string>> needed;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<int> others(texts.size());
    std::iota(others.begin(), others.end(), 0);
    others.erase(others.begin() + static_cast<ptrdiff_t>(i));
    if (!may_match_with(others)) needed.push_back({texts[i]});
  }
  if (needed.empty()) needed.push_back(std::move(texts));
  return needed;
}

// How long ago the time in `text` was, in seconds, against the pattern.
bool Matcher::age_holds(std::string_view text, int64_t now_ms) const {
  auto limit = as_number(pattern_);
  auto then_ms = parse_date(text, "UTC");
  if (!limit || !then_ms) return false;
  double age_s = static_cast<double>(now_ms - *then_ms) / 1000;
  return op_ == Operator::AgeLessThan ? age_s < limit->as_float() : age_s > limit->as_float();
}

std::string Matcher::mismatch(const Value* found) const {
  if (op_ == Operator::Exists || op_ == Operator::ExistsNot || op_ == Operator::NotEquals) {
    return {};
  }
  if (pattern_.is_null()) return "a pattern of null never holds";
  const Value& value = found ? *found : kNull;
  std::string_view kind = value.type_name();
  if (op_ == Operator::Inside || op_ == Operator::InsideNot) {
    if (!is_in(value, pattern_)) return fmt::format("cannot look for {} there", kind);
  }
  if (op_ != Operator::InsideNot && value.is_null()) return "the event has nothing there";
  if (op_ == Operator::Contains || op_ == Operator::ContainsNot) {
    if (!is_in(pattern_, value)) return fmt::format("cannot look inside {}", kind);
  }
  bool compares = op_ == Operator::LessThan || op_ == Operator::GreaterThan;
  if (compares && !less(value, pattern_)) {
    return fmt::format("cannot compare {} with {}", kind, pattern_.type_name());
  }
  bool is_age = op_ == Operator::AgeLessThan || op_ == Operator::AgeGreaterThan;
  if (is_age && (!value.is_string() || !parse_date(value.as_string(), "UTC"))) {
    return "expected a date and time there, such as 2026-01-31T12:00:00Z";
  }
  if (is_text_operator(op_) && !value.is_string()) {
    return fmt::format("expected a string there, found {}", kind);
  }
  return {};
}

}  // namespace millrace::rules
