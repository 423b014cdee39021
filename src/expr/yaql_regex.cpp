// SPDX-License-Identifier: Apache-2.0
#include "expr/regex.h"
#include "expr/rows.h"
#include "expr/unicode.h"
#include "expr/yaql.h"

// yaql/standard_library/regex.py
namespace millrace::expr {
namespace {

const Regex& regex_of(const Item& item) { return *item.as<RegexObject>(ObjectKind::Regex)->regex; }

Result<Item> regex(Evaluator& eval, Args& args) {
  RegexFlags flags{.ignore_case = flag_of(args, 1, false),
                   .multi_line = flag_of(args, 2, false),
                   .dot_all = flag_of(args, 3, false)};
  TRY(auto compiled, eval.regexes().get(eval.meter, args[0].str(), flags));
  return Item(make<RegexObject>(compiled));
}

Result<Item> matches(Evaluator& eval, Args& args) {
  TRY(auto match, regex_of(args[0]).search(eval.meter, args[1].str()));
  return Item(match.has_value());
}
Result<Item> text_matches(Evaluator& eval, Args& args) {
  TRY(auto compiled, eval.regexes().get(eval.meter, args[1].str(), {}));
  TRY(auto match, compiled->search(eval.meter, args[0].str()));
  return Item(match.has_value());
}

// Groups within groups copy the same text again.
Result<Item> group_text(Evaluator& eval, std::string_view text, const Match& match, size_t i) {
  const auto& group = match.groups[i];
  if (!group) return Item();
  return eval.copied(text.substr(group->first, group->second - group->first));
}

// {value, start, end} of a group, with places in code points.
Result<Item> group_record(Evaluator& eval, std::string_view text, const Match& match, size_t i) {
  auto record = make<Dict>(false);
  const auto& group = match.groups[i];
  auto place = [&](size_t byte) {
    return Item(group ? static_cast<int64_t>(unicode::index_of(text, byte)) : int64_t{-1});
  };
  TRY(Item value, group_text(eval, text, match, i));
  TRY(record->set(eval.meter, Item("value"), std::move(value)));
  TRY(record->set(eval.meter, Item("start"), place(group ? group->first : 0)));
  TRY(record->set(eval.meter, Item("end"), place(group ? group->second : 0)));
  return Item(record);
}

// A selector sees the whole match as $1 and the groups as $2, $3...
Result<Item> call_selector(Evaluator& eval, const Item& lambda, const Regex& regex,
                           std::string_view text, const Match& match) {
  if (!regex.group_names().empty()) {
    return value_error("a selector of matches does not work with named groups");
  }
  std::vector<Item> records;
  TRY(eval.meter.scan(match.groups.size() * 2 * text.size()));  // places in code points
  for (size_t i = 0; i < match.groups.size(); ++i) {
    TRY(Item record, group_record(eval, text, match, i));
    records.push_back(std::move(record));
  }
  return eval.call_lambda(lambda, records);
}

Result<Item> search(Evaluator& eval, Args& args) {
  std::string_view text = args[1].str();
  TRY(auto match, regex_of(args[0]).search(eval.meter, text));
  if (!match) return Item();
  if (!args.given(2)) return group_text(eval, text, *match, 0);
  return call_selector(eval, args[2], regex_of(args[0]), text, *match);
}

Result<Item> search_all(Evaluator& eval, Args& args) {
  std::string_view text = args[1].str();
  std::vector<Item> out;
  MatchCursor cursor(regex_of(args[0]), text);
  while (true) {
    TRY(auto match, cursor.next(eval.meter));
    if (!match) break;
    TRY(Item found, args.given(2) ? call_selector(eval, args[2], regex_of(args[0]), text, *match)
                                  : group_text(eval, text, *match, 0));
    TRY(eval.meter.take(sizeof(Item)));
    out.push_back(std::move(found));
  }
  return eval.tuple(std::move(out));
}

// re.split: the groups stand between the parts.
Result<Item> split_text(Evaluator& eval, const Regex& regex, std::string_view text, int64_t max) {
  std::vector<Item> out;
  size_t at = 0;
  MatchCursor cursor(regex, text);
  for (int64_t done = 0; max <= 0 || done < max; ++done) {
    TRY(auto match, cursor.next(eval.meter));
    if (!match) break;
    TRY(Item part, eval.copied(text.substr(at, match->begin() - at)));
    out.push_back(std::move(part));
    for (size_t i = 1; i < match->groups.size(); ++i) {
      TRY(Item group, group_text(eval, text, *match, i));
      out.push_back(std::move(group));
    }
    at = match->end();
  }
  TRY(Item rest, eval.copied(text.substr(at)));
  out.push_back(std::move(rest));
  return eval.list(std::move(out));
}
Result<Item> split(Evaluator& eval, Args& args) {
  return split_text(eval, regex_of(args[0]), args[1].str(), int_of(args, 2, 0));
}
Result<Item> split_by(Evaluator& eval, Args& args) {
  return split_text(eval, regex_of(args[1]), args[0].str(), int_of(args, 2, 0));
}

Result<Item> replace_text(Evaluator& eval, const Regex& regex, std::string_view text,
                          std::string_view with, int64_t count) {
  if (count < 0) return eval.text(std::string(text));
  TRY(std::string out, regex.replace(eval.meter, text, with, count));
  return eval.text(std::move(out));
}
Result<Item> replace(Evaluator& eval, Args& args) {
  return replace_text(eval, regex_of(args[0]), args[1].str(), args[2].str(), int_of(args, 3, 0));
}
Result<Item> replace_in(Evaluator& eval, Args& args) {
  return replace_text(eval, regex_of(args[1]), args[0].str(), args[2].str(), int_of(args, 3, 0));
}

Result<Item> replace_each(Evaluator& eval, const Regex& regex, std::string_view text,
                          const Item& lambda, int64_t count) {
  std::string out;
  size_t at = 0;
  MatchCursor cursor(regex, text);
  for (int64_t done = 0; count <= 0 || done < count; ++done) {
    TRY(auto match, cursor.next(eval.meter));
    if (!match) break;
    TRY(eval.meter.room(out.size(), match->begin() - at));
    out += text.substr(at, match->begin() - at);
    TRY(Item with, call_selector(eval, lambda, regex, text, *match));
    if (!with.is_string()) return type_error("expected str instance in replaceBy");
    TRY(python::append_str(eval.meter, out, with));
    at = match->end();
  }
  TRY(eval.meter.room(out.size(), text.size() - at));
  out += text.substr(at);
  return eval.text(std::move(out));
}
Result<Item> replace_by(Evaluator& eval, Args& args) {
  return replace_each(eval, regex_of(args[0]), args[1].str(), args[2], int_of(args, 3, 0));
}
Result<Item> replace_by_in(Evaluator& eval, Args& args) {
  return replace_each(eval, regex_of(args[1]), args[0].str(), args[2], int_of(args, 3, 0));
}

Result<Item> escape_regex(Evaluator& eval, Args& args) {
  constexpr std::string_view kSpecial = "()[]{}?*+-|^$\\.&~# \t\n\r\v\f";
  std::string out;
  for (char c : args[0].str()) {
    if (kSpecial.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return eval.text(std::move(out));
}

Result<Item> is_regex(Evaluator&, Args& args) { return Item(args[0].is(ObjectKind::Regex)); }

constexpr Row kRows[] = {
    {"escapeRegex", "string:str", escape_regex},
    {"isRegex", "value", is_regex},
    {"matches", "regexp:regex string:str", matches, Use::Method},
    {"matches", "string:str regexp:str", text_matches, Use::Method},
    {"regex", "pattern:str ignore_case?:bool multi_line?:bool dot_all?:bool", regex},
    {"replace", "regexp:regex string:str repl:str count?:int", replace, Use::Method},
    {"replace", "string:str regexp:regex repl:str count?:int", replace_in, Use::Method},
    {"replaceBy", "regexp:regex string:str repl:lambda count?:int", replace_by, Use::Method},
    {"replaceBy", "string:str regexp:regex repl:lambda count?:int", replace_by_in, Use::Method},
    {"search", "regexp:regex string:str selector?:lambda", search, Use::Method},
    {"searchAll", "regexp:regex string:str selector?:lambda", search_all, Use::Method},
    {"split", "regexp:regex string:str max_split?:int", split, Use::Method},
    {"split", "string:str regexp:regex max_split?:int", split_by, Use::Method},
};

}  // namespace

std::span<const Row> yaql_regex_rows() { return kRows; }

}  // namespace millrace::expr
