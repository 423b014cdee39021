// SPDX-License-Identifier: Apache-2.0
#include "expr/string_methods.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "expr/eval.h"
#include "expr/python_format.h"
#include "expr/unicode.h"

namespace millrace::expr {
namespace {

std::optional<std::string_view> maybe_text(const Args& args, size_t i) {
  if (!args.given(i) || args[i].is_null()) return {};
  return args[i].str();
}

Result<std::string_view> text_arg(const Args& args, size_t i) {
  if (args[i].is_undefined()) return undefined_use(args[i]);
  if (args[i].is_string()) return args[i].str();
  return type_error(fmt::format("expected a str argument, not '{}'", python::type_name(args[i])));
}

Result<int64_t> int_arg(const Args& args, size_t i, int64_t otherwise) {
  if (!args.given(i) || args[i].is_null()) return otherwise;
  return python::as_index(args[i], "an argument");
}

Result<Item> text_list(Evaluator& eval, const std::vector<std::string_view>& parts) {
  std::vector<Item> items;
  for (auto part : parts) {
    TRY(eval.meter.take(part.size() + sizeof(Item)));
    items.emplace_back(part);
  }
  return eval.list(std::move(items));
}

// upper, lower, ...
template <std::string (*Map)(std::string_view)>
Result<Item> mapped(Evaluator& eval, Args& args) {
  TRY(eval.meter.step(1 + args[0].str().size() / 64));
  return eval.text(Map(args[0].str()));
}

template <bool Left, bool Right>
Result<Item> stripped(Evaluator& eval, Args& args) {
  if (args.given(1) && !args[1].is_null()) TRY(text_arg(args, 1));
  return eval.text(std::string(unicode::strip(args[0].str(), maybe_text(args, 1), Left, Right)));
}

template <bool FromRight>
Result<Item> split_text(Evaluator& eval, Args& args) {
  if (args.given(1) && !args[1].is_null()) {
    TRY(auto separator, text_arg(args, 1));
    if (separator.empty()) return value_error("empty separator");
  }
  TRY(int64_t max, int_arg(args, 2, -1));
  TRY(eval.meter.step(1 + args[0].str().size() / 16));
  size_t parts = unicode::count_parts(args[0].str(), maybe_text(args, 1));
  TRY(eval.meter.take(parts * sizeof(std::string_view)));
  auto split = FromRight ? unicode::rsplit : unicode::split;
  return text_list(eval, split(args[0].str(), maybe_text(args, 1), max, parts));
}

Result<Item> splitlines(Evaluator& eval, Args& args) {
  std::vector<Item> lines;
  std::string_view rest = args[0].str();
  bool keep = args.given(1) && python::truth(args[1]);
  while (!rest.empty()) {
    size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
    size_t after = rest.substr(end).starts_with("\r\n") ? end + 2 : std::min(end + 1, rest.size());
    TRY(eval.meter.step());
    TRY(eval.meter.take(sizeof(Item)));
    TRY(Item line, eval.copied(rest.substr(0, keep ? after : end)));
    lines.push_back(std::move(line));
    rest.remove_prefix(after);
  }
  return eval.list(std::move(lines));
}

Result<Item> replace_text(Evaluator& eval, Args& args) {
  TRY(auto from, text_arg(args, 1));
  TRY(auto to, text_arg(args, 2));
  TRY(int64_t count, int_arg(args, 3, -1));
  return replace_in_text(eval, args[0].str(), from, to, count);
}

template <bool AtEnd>
Result<Item> starts_or_ends(Evaluator& eval, Args& args) {
  std::string_view text = args[0].str();
  TRY(int64_t start, int_arg(args, 2, 0));
  TRY(int64_t stop, int_arg(args, 3, INT64_MAX));
  std::string part;
  if (args.given(2)) {
    part = unicode::slice(text, start, stop, 1);
    text = part;
  }
  std::vector<Item> choices{args[1]};
  if (!args[1].is_string()) {
    TRY(choices, eval.items_of(args[1]));
  }
  for (const auto& choice : choices) {
    if (!choice.is_string()) return type_error("expected a str or a tuple of str");
    TRY(eval.meter.scan(choice.str().size()));
    if (AtEnd ? text.ends_with(choice.str()) : text.starts_with(choice.str())) return Item(true);
  }
  return Item(false);
}

// find, rfind, index, rindex: code points.
template <bool Last, bool Required>
Result<Item> find_text(Evaluator& eval, Args& args) {
  TRY(auto needle, text_arg(args, 1));
  std::string_view text = args[0].str();
  TRY(eval.meter.step(1 + text.size() / 64));
  auto size = static_cast<int64_t>(unicode::length(text));
  TRY(int64_t start, int_arg(args, 2, 0));
  TRY(int64_t stop, int_arg(args, 3, size));
  auto range = unicode::slice_range(size, start, stop, 1);
  size_t from = unicode::offset_of(text, static_cast<size_t>(range.start));
  size_t to = unicode::offset_of(text, static_cast<size_t>(range.start + range.count));
  std::string_view part = text.substr(from, to - from);
  size_t at = start > size ? std::string_view::npos
              : Last       ? rfind_in(part, needle)
                           : find_in(part, needle);
  if (at == std::string_view::npos) {
    if (Required) return value_error("substring not found");
    return Item(-1);
  }
  return Item(static_cast<int64_t>(unicode::index_of(text, from + at)));
}

Result<Item> count_text(Evaluator& eval, Args& args) {
  TRY(auto needle, text_arg(args, 1));
  std::string_view text = args[0].str();
  TRY(eval.meter.step(1 + text.size() / 16));
  if (needle.empty()) return Item(static_cast<int64_t>(unicode::length(text)) + 1);
  int64_t n = 0;
  for (size_t at = find_in(text, needle); at != std::string_view::npos;
       at = find_in(text, needle, at + needle.size())) {
    ++n;
  }
  return Item(n);
}

Result<Item> join_text(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[1]));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_undefined()) return undefined_use(items[i]);
    if (!items[i].is_string()) {
      return type_error(fmt::format("sequence item {}: expected str instance, {} found", i,
                                    python::type_name(items[i])));
    }
    TRY(eval.meter.room(out.size(), args[0].str().size()));
    if (i > 0) out += args[0].str();
    TRY(python::append_str(eval.meter, out, items[i]));
  }
  return eval.text(std::move(out));
}

enum class Side : uint8_t { Left, Right, Both };
template <Side Where>
Result<Item> justified(Evaluator& eval, Args& args) {
  TRY(int64_t width, int_arg(args, 1, 0));
  std::string fill = " ";
  if (args.given(2)) {
    TRY(auto chosen, text_arg(args, 2));
    fill = chosen;
  }
  if (unicode::length(fill) != 1) {
    return type_error("the fill character must be exactly one character long");
  }
  auto size = static_cast<int64_t>(unicode::length(args[0].str()));
  if (width <= size) return args[0];
  int64_t missing = width - size;
  TRY(eval.meter.take(static_cast<size_t>(missing)));  // so that the product cannot overflow
  TRY(eval.meter.take(static_cast<size_t>(missing) * fill.size()));
  // Python's str.center puts the odd blank left when the width is odd.
  int64_t left = Where == Side::Left    ? 0
                 : Where == Side::Right ? missing
                                        : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += args[0].str();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return eval.text(std::move(out));
}

Result<Item> zfill(Evaluator& eval, Args& args) {
  TRY(int64_t width, int_arg(args, 1, 0));
  std::string_view text = args[0].str();
  auto size = static_cast<int64_t>(unicode::length(text));
  if (width <= size) return args[0];
  TRY(eval.meter.take(static_cast<size_t>(width)));
  std::string out;
  if (text.starts_with('-') || text.starts_with('+')) {
    out += text[0];
    text.remove_prefix(1);
  }
  out.append(static_cast<size_t>(width - size), '0');
  out += text;
  return eval.text(std::move(out));
}

template <bool Last>
Result<Item> partition(Evaluator& eval, Args& args) {
  TRY(auto separator, text_arg(args, 1));
  if (separator.empty()) return value_error("empty separator");
  std::string_view text = args[0].str();
  size_t at = Last ? rfind_in(text, separator) : find_in(text, separator);
  std::vector<Item> parts;
  if (at == std::string_view::npos) {
    parts = Last ? std::vector<Item>{"", "", args[0]} : std::vector<Item>{args[0], "", ""};
  } else {
    parts = {Item(text.substr(0, at)), Item(separator), Item(text.substr(at + separator.size()))};
  }
  return eval.tuple(std::move(parts));
}

template <bool Suffix>
Result<Item> remove_affix(Evaluator& eval, Args& args) {
  TRY(auto affix, text_arg(args, 1));
  std::string_view text = args[0].str();
  if (Suffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!Suffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return eval.text(std::string(text));
}

// isdigit, isalpha...: all of at least one character.
template <bool (*Is)(char32_t)>
Result<Item> all_are(Evaluator&, Args& args) {
  std::string_view text = args[0].str();
  bool all = !text.empty();
  for (size_t i = 0; all && i < text.size(); i += unicode::width(text, i)) {
    all = Is(unicode::decode(text, i));
  }
  return Item(all);
}
bool is_alnum(char32_t c) { return unicode::is_alpha(c) || unicode::is_digit(c); }

// isupper, islower: cased characters, at least one, all of them so.
template <bool (*Is)(char32_t), bool (*IsNot)(char32_t)>
Result<Item> cased(Evaluator&, Args& args) {
  std::string_view text = args[0].str();
  bool some = false;
  for (size_t i = 0; i < text.size(); i += unicode::width(text, i)) {
    if (IsNot(unicode::decode(text, i))) return Item(false);
    some |= Is(unicode::decode(text, i));
  }
  return Item(some);
}

Result<Item> format_method(Evaluator& eval, Args& args) {
  return python::brace_format(eval, args[0].str(), args.rest(1), args.named());
}

constexpr Row kStringMethods[] = {
    {"capitalize", "s", mapped<unicode::capitalize>},
    {"casefold", "s", mapped<unicode::lower>},
    {"center", "s width fill?", justified<Side::Both>},
    {"count", "s sub", count_text},
    {"endswith", "s suffix start? end?", starts_or_ends<true>},
    {"find", "s sub start? end?", find_text<false, false>},
    {"format", "s *args **", format_method},
    {"index", "s sub start? end?", find_text<false, true>},
    {"isalnum", "s", all_are<is_alnum>},
    {"isalpha", "s", all_are<unicode::is_alpha>},
    {"isdecimal", "s", all_are<unicode::is_digit>},
    {"isdigit", "s", all_are<unicode::is_digit>},
    {"islower", "s", cased<unicode::is_lower, unicode::is_upper>},
    {"isnumeric", "s", all_are<unicode::is_digit>},
    {"isspace", "s", all_are<unicode::is_space>},
    {"isupper", "s", cased<unicode::is_upper, unicode::is_lower>},
    {"join", "s items", join_text},
    {"ljust", "s width fill?", justified<Side::Left>},
    {"lower", "s", mapped<unicode::lower>},
    {"lstrip", "s chars?", stripped<true, false>},
    {"partition", "s sep", partition<false>},
    {"removeprefix", "s prefix", remove_affix<false>},
    {"removesuffix", "s suffix", remove_affix<true>},
    {"replace", "s old new count?", replace_text},
    {"rfind", "s sub start? end?", find_text<true, false>},
    {"rindex", "s sub start? end?", find_text<true, true>},
    {"rjust", "s width fill?", justified<Side::Right>},
    {"rpartition", "s sep", partition<true>},
    {"rsplit", "s sep? maxsplit?", split_text<true>},
    {"rstrip", "s chars?", stripped<false, true>},
    {"split", "s sep? maxsplit?", split_text<false>},
    {"splitlines", "s keepends?", splitlines},
    {"startswith", "s prefix start? end?", starts_or_ends<false>},
    {"strip", "s chars?", stripped<true, true>},
    {"swapcase", "s", mapped<unicode::swapcase>},
    {"title", "s", mapped<unicode::title>},
    {"upper", "s", mapped<unicode::upper>},
    {"zfill", "s width", zfill},
};

const Table& string_methods() {
  static const Table table{kStringMethods};
  return table;
}

}  // namespace

Result<Item> replace_in_text(Evaluator& eval, std::string_view text, std::string_view from,
                             std::string_view to, int64_t count) {
  TRY(eval.meter.step(1 + text.size() / 16));
  std::string out;
  int64_t done = 0;
  size_t at = 0;
  auto more = [&] { return count < 0 || done < count; };
  if (from.empty()) {  // between all characters
    for (; at < text.size() && more(); ++done) {
      size_t n = unicode::width(text, at);
      TRY(eval.meter.room(out.size(), to.size() + n));
      out += to;
      out += text.substr(at, n);
      at += n;
    }
    TRY(eval.meter.room(out.size(), to.size()));
    if (at >= text.size() && more()) out += to;
  } else {
    for (size_t next = find_in(text, from); next != std::string_view::npos && more();
         next = find_in(text, from, at), ++done) {
      TRY(eval.meter.room(out.size(), next - at + to.size()));
      out += text.substr(at, next - at);
      out += to;
      at = next + from.size();
    }
  }
  TRY(eval.meter.room(out.size(), text.size() - std::min(at, text.size())));
  out += text.substr(std::min(at, text.size()));
  return eval.text(std::move(out));
}

Result<Item> python_method(Evaluator& eval, const Item& object, std::string_view name, Args& args,
                           bool& found) {
  found = true;
  if (object.is_string()) {
    uint32_t row = string_methods().find(name);
    if (row != kNone) {
      Args all;
      all.push(object);
      for (const auto& item : args.rest(0)) all.push(item);
      for (const auto& [key, value] : args.named()) all.name(key, value);
      return eval.apply(string_methods().at(row), all);
    }
  }
  return container_method(eval, object, name, args, found);
}

}  // namespace millrace::expr
