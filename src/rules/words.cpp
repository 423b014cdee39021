// SPDX-License-Identifier: Apache-2.0
#include "rules/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/excerpt.h"

namespace millrace::rules {
namespace {

constexpr size_t kShownWords = 200;  // of a value, in bytes

struct Words {
  std::string_view op;
  std::string_view holds;
  std::string_view fails;
};

// {} is the pattern.
constexpr Words kWords[] = {
    {"equals", "is {}", "is not {}"},
    {"nequals", "is not {}", "is {}"},
    {"iequals", "is {}, in whatever case", "is not {}, in whatever case"},
    {"contains", "contains {}", "does not contain {}"},
    {"icontains", "contains {}, in whatever case", "does not contain {}, in whatever case"},
    {"ncontains", "does not contain {}", "contains {}"},
    {"incontains", "does not contain {}, in whatever case", "contains {}, in whatever case"},
    {"startswith", "starts with {}", "does not start with {}"},
    {"istartswith", "starts with {}, in whatever case", "does not start with {}, in whatever case"},
    {"endswith", "ends with {}", "does not end with {}"},
    {"iendswith", "ends with {}, in whatever case", "does not end with {}, in whatever case"},
    {"lessthan", "is less than {}", "is not less than {}"},
    {"greaterthan", "is greater than {}", "is not greater than {}"},
    {"matchwildcard", "matches the wildcard {}", "does not match the wildcard {}"},
    {"matchregex", "matches the regular expression {}",
     "does not begin with a match of the regular expression {}"},
    {"regex", "has a match of the regular expression {}",
     "has no match of the regular expression {}"},
    {"iregex", "has a match of the regular expression {}, in whatever case",
     "has no match of the regular expression {}, in whatever case"},
    {"timediff_lt", "is less than {} seconds ago", "is not less than {} seconds ago"},
    {"timediff_gt", "is more than {} seconds ago", "is not more than {} seconds ago"},
    {"exists", "is there", "is not there"},
    {"nexists", "is not there", "is there"},
    {"inside", "is in {}", "is not in {}"},
    {"ninside", "is not in {}", "is in {}"},
    {"search", "has what is searched for", "has nothing that is searched for: {}"},
    {"expression", "is true", "is not true"},
    {"any", "one of these holds", "none of these holds"},
    {"all", "all of these hold", "not all of these hold"},
    {"not", "what follows does not hold", "what follows holds"},
};

std::string shown(const Value& value) { return json_excerpt(value, kShownWords); }

}  // namespace

std::string in_words(const Value& verdict) {
  std::string criterion(verdict.string_or("criterion", ""));
  std::string op(verdict.string_or("operator", ""));
  bool holds = verdict.bool_or("holds", false);
  if (criterion == "enabled") return holds ? "the rule is enabled" : "the rule is disabled";
  auto words = std::ranges::find(kWords, op, &Words::op);
  if (words == std::end(kWords)) return fmt::format("{} {}", criterion, op);
  std::string says(holds ? words->holds : words->fails);
  if (auto at = says.find("{}"); at != says.npos) says.replace(at, 2, shown(verdict["expected"]));
  bool is_group = op == "any" || op == "all" || op == "not";
  bool names_found = op != "exists" && op != "nexists" && op != "expression" && op != "search";
  std::string out = criterion;
  if (is_group) {
    out = says;
  } else if (holds || !names_found) {
    out += " " + says;
  } else {
    out += fmt::format(" is {}: {}", shown(verdict["found"]), says);
  }
  if (auto note = verdict.string_or("note", ""); !note.empty()) out += fmt::format(" ({})", note);
  return out;
}

Value with_words(Value verdicts) {
  if (!verdicts.is_list()) return verdicts;
  Value out = Value::list();
  for (const Value& one : verdicts.as_list()) {
    Value next = one;
    next.set("message", in_words(one));
    if (one.find("parts")) next.set("parts", with_words(one["parts"]));
    out.push_back(std::move(next));
  }
  return out;
}

}  // namespace millrace::rules
