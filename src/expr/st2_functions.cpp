// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "expr/eval.h"
#include "expr/rows.h"
#include "expr/text_formats.h"

// The filters of StackStorm, in both languages: paths, JSON, YAML, JSONPath, regexes, times.
namespace millrace::expr {
namespace {

Result<std::string_view> path_arg(const Args& args) {
  if (args[0].is_undefined()) return undefined_use(args[0]);
  if (args[0].is_string()) return args[0].str();
  return type_error(
      fmt::format("expected str, bytes or os.PathLike object, not {}", python::type_name(args[0])));
}

// Up to the last slash, with it; empty without one.
std::string_view folder_of(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash + 1);
}

Result<Item> basename(Evaluator&, Args& args) {
  TRY(auto path, path_arg(args));
  return Item(path.substr(folder_of(path).size()));
}

Result<Item> dirname(Evaluator&, Args& args) {
  TRY(auto path, path_arg(args));
  std::string_view head = folder_of(path);
  size_t last = head.find_last_not_of('/');
  if (last != std::string_view::npos) head = head.substr(0, last + 1);
  return Item(head);
}

Result<Item> from_json_string(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  return load_json(eval, text);
}

Result<Item> from_yaml_string(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  return load_yaml(eval, text);
}

Result<Item> to_json_string(Evaluator& eval, Args& args) {
  JsonStyle style{.item_separator = ","};
  if (args.given(1)) {
    TRY(style.indent, json_indent(args[1]));
  }
  style.sort_keys = args.given(2) && python::truth(args[2]);
  if (args.given(3) && !args[3].is_null()) {
    TRY(auto separators, eval.items_of(args[3]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return value_error("separators must be two strings");
    }
    style.item_separator = separators[0].str();
    style.key_separator = separators[1].str();
  } else if (args.given(3)) {
    style.item_separator = style.indent ? "," : ", ";
  }
  TRY(std::string text, dump_json(eval, args[0], style));
  return eval.text(std::move(text));
}

Result<Item> to_yaml_string(Evaluator& eval, Args& args) {
  YamlStyle style;
  if (args.given(1) && !args[1].is_null()) {
    TRY(style.indent, python::as_index(args[1], "indent"));
  }
  if (args.given(2)) style.allow_unicode = args[2].is_null() ? false : python::truth(args[2]);
  TRY(std::string text, dump_yaml(eval, args[0], style));
  return eval.text(std::move(text));
}

Result<Item> to_complex(Evaluator& eval, Args& args) {
  TRY(std::string text, dump_json(eval, args[0], {}));
  return eval.text(std::move(text));
}

Result<Item> json_escape(Evaluator& eval, Args& args) {
  TRY(std::string text, dump_json(eval, args[0], {}));
  std::string_view inner = text;
  while (inner.starts_with('"')) inner.remove_prefix(1);
  while (inner.ends_with('"')) inner.remove_suffix(1);
  return eval.text(std::string(inner));
}

Result<Item> jsonpath_query(Evaluator& eval, Args& args) {
  if (!args[1].is_string()) return type_error("a JSONPath must be a string");
  if (args[0].is_undefined()) return undefined_use(args[0]);
  return query_jsonpath(eval, args[0], args[1].str());
}

struct RegexCall {
  std::string text;
  std::shared_ptr<const Regex> regex;
};

// (value, pattern, ..., ignorecase)
Result<RegexCall> regex_call(Evaluator& eval, const Args& args, size_t ignore_case) {
  RegexCall call;
  TRY(call.text, eval.str(args[0]));
  if (!args[1].is_string()) return type_error("first argument must be string or compiled pattern");
  RegexFlags flags{.ignore_case = args.given(ignore_case) && python::truth(args[ignore_case])};
  TRY(call.regex, eval.regexes().get(eval.meter, args[1].str(), flags));
  return call;
}

Result<Item> regex_match(Evaluator& eval, Args& args) {
  TRY(RegexCall call, regex_call(eval, args, 2));
  TRY(auto match, call.regex->search(eval.meter, call.text, true));
  return Item(match.has_value());
}

Result<Item> regex_search(Evaluator& eval, Args& args) {
  TRY(RegexCall call, regex_call(eval, args, 2));
  TRY(auto match, call.regex->search(eval.meter, call.text));
  return Item(match.has_value());
}

Result<Item> regex_replace(Evaluator& eval, Args& args) {
  TRY(RegexCall call, regex_call(eval, args, 3));
  if (!args[2].is_string()) return type_error("the replacement must be a string");
  TRY(std::string out, call.regex->replace(eval.meter, call.text, args[2].str(), 0));
  return eval.text(std::move(out));
}

// re.findall(...)[index]: the groups when the pattern has some.
Result<Item> regex_substring(Evaluator& eval, Args& args) {
  TRY(RegexCall call, regex_call(eval, args, 3));
  std::vector<Item> found;
  auto group_text = [&](const Match& match, size_t i) -> Result<Item> {
    const auto& group = match.groups[i];
    std::string_view text = call.text;
    if (!group) return Item("");
    return eval.copied(text.substr(group->first, group->second - group->first));
  };
  MatchCursor cursor(*call.regex, call.text);
  while (true) {
    TRY(auto match, cursor.next(eval.meter));
    if (!match) break;
    TRY(eval.meter.take(sizeof(Item) * match->groups.size()));
    if (match->groups.size() <= 2) {
      TRY(Item text, group_text(*match, match->groups.size() - 1));
      found.push_back(std::move(text));
      continue;
    }
    std::vector<Item> groups;
    for (size_t i = 1; i < match->groups.size(); ++i) {
      TRY(Item text, group_text(*match, i));
      groups.push_back(std::move(text));
    }
    TRY(Item tuple, eval.tuple(std::move(groups)));
    found.push_back(std::move(tuple));
  }
  int64_t index = 0;
  if (args.given(2)) {
    TRY(index, python::as_index(args[2], "result_index"));
  }
  auto size = static_cast<int64_t>(found.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) return eval_error("IndexError: list index out of range");
  return found[static_cast<size_t>(index)];
}

// '1y2d3h4m5s' of a number of seconds. As the reference it takes a year of the calendar that begins
// at 0001-01-01 and the day of the month, so months do not show.
Result<Item> to_human_time_from_seconds(Evaluator& eval, Args& args) {
  const Item& seconds = args[0];
  if (!python::is_number(seconds)) return eval_error("AssertionError");
  double d = python::as_double(seconds);
  if (d == 0) return Item("0s");
  if (d < 1) {
    TRY(std::string text, eval.str(seconds));
    return Item(text + "\u03BCs");
  }
  if (!(d < 3e11)) return eval_error("OverflowError: date value out of range");
  auto total = static_cast<int64_t>(python::round_half_even(d, 0));
  int64_t days = total / 86400;
  // Days since 0001-01-01 to a date (Howard Hinnant, chrono-compatible low-level date algorithms).
  int64_t z = days + 306;
  int64_t era = z / 146097;
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t mp = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * mp + 2) / 5 + 1;
  int64_t year = year_of_era + era * 400 + (mp >= 10 ? 1 : 0);
  const int64_t parts[] = {year - 1, day - 1, total / 3600 % 24, total / 60 % 60, total % 60};
  constexpr std::string_view kUnits = "ydhms";
  std::string out;
  for (size_t i = 0; i < 5; ++i) {
    if (out.empty() && parts[i] == 0) continue;
    fmt::format_to(std::back_inserter(out), "{}{}", parts[i], kUnits[i]);
  }
  return Item(out.empty() ? "0s" : out);
}

Result<Item> use_none(Evaluator&, Args& args) {
  if (args[0].is_null()) return Item("%*****__%NONE%__*****%");
  return args[0];
}

constexpr Row kFunctions[] = {
    {"basename", "path", basename},
    {"dirname", "path", dirname},
    {"from_json_string", "value", from_json_string},
    {"from_yaml_string", "value", from_yaml_string},
    {"json_dump", "value indent? sort_keys?:bool separators?", to_json_string},
    {"json_escape", "value", json_escape},
    {"json_parse", "value", from_json_string},
    {"jsonpath_query", "value query", jsonpath_query},
    {"regex_match", "value pattern ignorecase?:bool", regex_match},
    {"regex_replace", "value pattern replacement ignorecase?:bool", regex_replace},
    {"regex_search", "value pattern ignorecase?:bool", regex_search},
    {"regex_substring", "value pattern result_index?:int ignorecase?:bool", regex_substring},
    {"to_complex", "value", to_complex},
    {"to_human_time_from_seconds", "seconds", to_human_time_from_seconds},
    {"to_json_string", "value indent? sort_keys?:bool separators?", to_json_string},
    {"to_yaml_string", "value indent? allow_unicode?:bool", to_yaml_string},
    {"use_none", "value", use_none},
    {"yaml_dump", "value indent? allow_unicode?:bool", to_yaml_string},
    {"yaml_parse", "value", from_yaml_string},
};

}  // namespace

std::span<const Row> st2_rows() { return kFunctions; }

}  // namespace millrace::expr
