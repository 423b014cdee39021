// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "expr/python_format.h"
#include "expr/rows.h"
#include "expr/string_methods.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"
#include "expr/yaql.h"

// yaql/standard_library/strings.py
namespace millrace::expr {
namespace {

std::optional<std::string_view> maybe_text(const Args& args, size_t i) {
  if (!args.given(i) || args[i].is_null()) return {};
  return args[i].str();
}

Result<Item> concat(Evaluator& eval, Args& args) {
  std::string out;
  for (const auto& arg : args.rest(0)) TRY(python::append_str(eval.meter, out, arg));
  return eval.text(std::move(out));
}

template <std::string (*Map)(std::string_view)>
Result<Item> mapped(Evaluator& eval, Args& args) {
  TRY(eval.meter.step(1 + args[0].str().size() / 64));
  return eval.text(Map(args[0].str()));
}

Result<Item> length(Evaluator& eval, Args& args) {
  TRY(eval.meter.step(1 + args[0].str().size() / 64));
  return Item(static_cast<int64_t>(unicode::length(args[0].str())));
}

template <bool FromRight>
Result<Item> split(Evaluator& eval, Args& args) {
  auto separator = maybe_text(args, 1);
  if (separator && separator->empty()) return value_error("empty separator");
  TRY(eval.meter.step(1 + args[0].str().size() / 16));
  size_t count = unicode::count_parts(args[0].str(), separator);
  TRY(eval.meter.take(count * sizeof(std::string_view)));
  auto parts = (FromRight ? unicode::rsplit : unicode::split)(args[0].str(), separator,
                                                              int_of(args, 2, -1), count);
  std::vector<Item> items;
  for (auto part : parts) {
    TRY(eval.meter.take(part.size() + sizeof(Item)));
    items.emplace_back(part);
  }
  return eval.list(std::move(items));
}

Result<Item> join_items(Evaluator& eval, const Item& sequence, std::string_view separator) {
  TRY(Cursor cursor, Cursor::over(sequence));
  std::string out;
  for (bool first = true;; first = false) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return eval.text(std::move(out));
    TRY(std::string text, yaql_str(eval, item));
    TRY(eval.meter.room(out.size(), separator.size() + text.size()));
    if (!first) out += separator;
    out += text;
  }
}
Result<Item> join(Evaluator& eval, Args& args) { return join_items(eval, args[0], args[1].str()); }
Result<Item> join_by(Evaluator& eval, Args& args) {
  return join_items(eval, args[1], args[0].str());
}

Result<Item> str(Evaluator& eval, Args& args) {
  TRY(std::string text, yaql_str(eval, args[0]));
  return eval.text(std::move(text));
}

template <bool Left, bool Right>
Result<Item> trim(Evaluator& eval, Args& args) {
  return eval.text(std::string(unicode::strip(args[0].str(), maybe_text(args, 1), Left, Right)));
}

Result<Item> norm(Evaluator& eval, Args& args) {
  if (args[0].is_null()) return Item();
  auto text = unicode::strip(args[0].str(), maybe_text(args, 1), true, true);
  if (text.empty()) return Item();
  return eval.text(std::string(text));
}

Result<Item> is_empty(Evaluator&, Args& args) {
  if (args[0].is_null()) return Item(true);
  std::string_view text = args[0].str();
  if (flag_of(args, 1, true)) text = unicode::strip(text, maybe_text(args, 2), true, true);
  return Item(text.empty());
}

Result<Item> replace(Evaluator& eval, Args& args) {
  return replace_in_text(eval, args[0].str(), args[1].str(), args[2].str(), int_of(args, 3, -1));
}

Result<Item> replace_by_map(Evaluator& eval, Args& args) {
  Item text = args[0];
  TRY(auto entries, entries_of(eval, args[1]));
  for (const auto& [key, value] : entries) {
    TRY(std::string from, yaql_str(eval, key));
    TRY(std::string to, yaql_str(eval, value));
    TRY(text, replace_in_text(eval, text.str(), from, to, int_of(args, 2, -1)));
  }
  return text;
}

Result<Item> format(Evaluator& eval, Args& args) {
  return python::brace_format(eval, args[0].str(), args.rest(1), args.named());
}

Result<Item> substring(Evaluator& eval, Args& args) {
  std::string_view text = args[0].str();
  TRY(eval.meter.step(1 + text.size() / 16));
  auto size = static_cast<int64_t>(unicode::length(text));
  int64_t start = int_of(args, 1, 0);
  int64_t length = int_of(args, 2, -1);
  if (length < 0) length = size;
  if (start < 0) start += size;
  int64_t stop = start > INT64_MAX - length ? INT64_MAX : start + length;
  return eval.text(unicode::slice(text, start, stop, 1));
}

// str.find and str.rfind between two code points.
template <bool Last>
Result<Item> index_of(Evaluator& eval, Args& args) {
  std::string_view text = args[0].str();
  TRY(eval.meter.step(1 + text.size() / 16));
  auto size = static_cast<int64_t>(unicode::length(text));
  int64_t start = int_of(args, 2, 0);
  int64_t stop = size;
  if (args.given(3)) {
    int64_t length = int_of(args, 3, 0);
    if (start < 0) start += size;
    if (length < 0) length = size - start;
    stop = start > INT64_MAX - length ? INT64_MAX : start + length;
  }
  auto range = unicode::slice_range(size, start, stop, 1);
  size_t from = unicode::offset_of(text, static_cast<size_t>(range.start));
  size_t to = unicode::offset_of(text, static_cast<size_t>(range.start + range.count));
  std::string_view part = text.substr(from, to - from);
  size_t at = start > size ? part.npos
              : Last       ? rfind_in(part, args[1].str())
                           : find_in(part, args[1].str());
  if (at == part.npos) return Item(-1);
  return Item(static_cast<int64_t>(unicode::index_of(text, from + at)));
}

Result<Item> to_char_array(Evaluator& eval, Args& args) {
  std::vector<Item> out;
  std::string_view text = args[0].str();
  for (size_t i = 0; i < text.size();) {
    size_t n = unicode::width(text, i);
    TRY(eval.meter.step());
    TRY(eval.meter.take(sizeof(Item)));
    TRY(Item character, eval.copied(text.substr(i, n)));
    out.push_back(std::move(character));
    i += n;
  }
  return eval.tuple(std::move(out));
}

Result<Item> characters(Evaluator& eval, Args& args) {
  constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  const std::string letters = std::string(kLower) + std::string(kUpper);
  const std::string printable =
      std::string(kDigits) + letters + std::string(kPunctuation) + std::string(kSpace);
  const std::string sets[] = {std::string(kDigits),
                              "0123456789abcdefABCDEF",
                              std::string(kLower),
                              std::string(kUpper),
                              letters,
                              "",
                              "01234567",
                              std::string(kPunctuation),
                              printable,
                              "",
                              "",
                              std::string(kSpace)};
  std::string seen;
  std::vector<Item> out;
  for (size_t i = 0; i < std::size(sets); ++i) {
    if (!flag_of(args, i, false)) continue;
    if (sets[i].empty()) return eval_error("AttributeError: no such class of characters");
    for (char c : sets[i]) {
      if (seen.find(c) != std::string::npos) continue;
      seen += c;
      out.emplace_back(std::string_view(&c, 1));
    }
  }
  return eval.tuple(std::move(out));
}

Result<Item> is_string(Evaluator&, Args& args) { return Item(args[0].is_string()); }

Result<Item> starts_with(Evaluator&, Args& args) {
  for (const auto& prefix : args.rest(1)) {
    if (args[0].str().starts_with(prefix.str())) return Item(true);
  }
  return Item(false);
}
Result<Item> ends_with(Evaluator&, Args& args) {
  for (const auto& suffix : args.rest(1)) {
    if (args[0].str().ends_with(suffix.str())) return Item(true);
  }
  return Item(false);
}

Result<Item> hex(Evaluator& eval, Args& args) {
  if (!accepts(Type::Int, args[0])) return type_error("hex() wants an integer");
  TRY(std::string digits, python::format_value(eval, args[0], "#x"));
  return eval.text(std::move(digits));
}

constexpr Row kRows[] = {
    {"characters",
     "digits?:bool hexdigits?:bool ascii_lowercase?:bool ascii_uppercase?:bool "
     "ascii_letters?:bool letters?:bool octdigits?:bool punctuation?:bool printable?:bool "
     "lowercase?:bool uppercase?:bool whitespace?:bool",
     characters},
    {"concat", "*args:str", concat},
    {"endsWith", "string:str *suffixes:str", ends_with, Use::Method},
    {"format", "format_string:str *args **", format, Use::Both},
    {"hex", "num:num|null", hex},
    {"indexOf", "string:str sub:str start?:int", index_of<false>, Use::Method},
    {"indexOf", "string:str sub:str start:int length:int", index_of<false>, Use::Method},
    {"isEmpty", "string:str|null trim?:bool chars?:str|null", is_empty, Use::Both},
    {"isString", "arg", is_string},
    {"join", "sequence:iter separator:str", join, Use::Method},
    {"join", "separator:str sequence:iter", join_by, Use::Method},
    {"lastIndexOf", "string:str sub:str start?:int", index_of<true>, Use::Method},
    {"lastIndexOf", "string:str sub:str start:int length:int", index_of<true>, Use::Method},
    {"len", "string:str", length, Use::Both},
    {"norm", "string:str|null chars?:str|null", norm, Use::Both},
    {"replace", "string:str old:str new:str count?:int", replace, Use::Method},
    {"replace", "string:str replacements:map count?:int", replace_by_map, Use::Method},
    {"rightSplit", "string:str separator?:str|null max_splits?:int", split<true>, Use::Method},
    {"split", "string:str separator?:str|null max_splits?:int", split<false>, Use::Method},
    {"startsWith", "string:str *prefixes:str", starts_with, Use::Method},
    {"str", "value", str},
    {"substring", "string:str start:int length?:int", substring, Use::Method},
    {"toCharArray", "string:str", to_char_array, Use::Method},
    {"toLower", "string:str", mapped<unicode::lower>, Use::Method},
    {"toUpper", "string:str", mapped<unicode::upper>, Use::Method},
    {"trim", "string:str chars?:str|null", trim<true, true>, Use::Method},
    {"trimLeft", "string:str chars?:str|null", trim<true, false>, Use::Method},
    {"trimRight", "string:str chars?:str|null", trim<false, true>, Use::Method},
};

}  // namespace

std::span<const Row> yaql_string_rows() { return kRows; }

}  // namespace millrace::expr
