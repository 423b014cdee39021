// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "expr/eval.h"
#include "expr/python_format.h"
#include "expr/rows.h"
#include "expr/string_methods.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// Filters of Jinja 3.1 over text.
namespace millrace::expr {
namespace {

bool flag(const Args& args, size_t i) { return args.given(i) && python::truth(args[i]); }

Result<int64_t> int_or(const Args& args, size_t i, int64_t otherwise) {
  if (!args.given(i) || args[i].is_null()) return otherwise;
  return python::as_index(args[i], "an argument");
}

// A filter that is `method` of str, on soft_str(value).
Result<Item> as_method(Evaluator& eval, Args& args, std::string_view method, size_t parameters) {
  TRY(std::string value, eval.str(args[0]));
  TRY(Item subject, eval.text(std::move(value)));
  Args inner;
  for (size_t i = 1; i <= parameters && args.given(i); ++i) inner.push(args[i]);
  bool found = false;
  return python_method(eval, subject, method, inner, found);
}

Result<Item> upper(Evaluator& eval, Args& args) { return as_method(eval, args, "upper", 0); }
Result<Item> lower(Evaluator& eval, Args& args) { return as_method(eval, args, "lower", 0); }
Result<Item> capitalize(Evaluator& eval, Args& args) {
  return as_method(eval, args, "capitalize", 0);
}
Result<Item> trim(Evaluator& eval, Args& args) { return as_method(eval, args, "strip", 1); }

Result<Item> center(Evaluator& eval, Args& args) {
  if (!args.given(1)) args.give(1, Item(80));
  return as_method(eval, args, "center", 1);
}

// Words begin after white space, a hyphen or an opening bracket.
Result<Item> title(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  constexpr std::string_view kBefore = "-({[<";
  std::string out;
  bool begins = true;
  for (size_t i = 0; i < text.size();) {
    size_t n = unicode::width(text, i);
    std::string_view c = std::string_view(text).substr(i, n);
    bool separator =
        unicode::is_space(unicode::decode(text, i)) || kBefore.find(c) != std::string_view::npos;
    out += begins ? unicode::upper(c) : unicode::lower(c);
    begins = separator;
    i += n;
  }
  return eval.text(std::move(out));
}

Result<Item> string(Evaluator& eval, Args& args) {
  if (args[0].is_string()) return args[0];
  TRY(std::string text, eval.str(args[0]));
  return eval.text(std::move(text));
}

Result<Item> replace(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  TRY(std::string from, eval.str(args[1]));
  TRY(std::string to, eval.str(args[2]));
  TRY(int64_t count, int_or(args, 3, -1));
  return replace_in_text(eval, text, from, to, count);
}

Result<Item> join(Evaluator& eval, Args& args) {
  std::string separator;
  if (args.given(1)) {
    TRY(separator, eval.str(args[1]));
  }
  TRY(Cursor cursor, Cursor::over(args[0]));
  std::string out;
  for (bool first = true;; first = false) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return eval.text(std::move(out));
    if (args.given(2) && !args[2].is_null()) {
      TRY(item, eval.subscript(item, args[2]));
    }
    TRY(eval.meter.room(out.size(), separator.size()));
    if (!first) out += separator;
    TRY(python::append_str(eval.meter, out, item));
  }
}

Result<Item> format(Evaluator& eval, Args& args) {
  TRY(std::string pattern, eval.str(args[0]));
  if (args.named().empty()) return python::percent_format(eval, pattern, args.rest(1), true);
  if (args.size() > 1) {
    return eval_error(
        "FilterArgumentError: can't handle positional and keyword arguments at the same time");
  }
  auto map = make<Dict>(false);
  for (const auto& [name, value] : args.named()) {
    TRY(Item key, eval.copied(name));
    TRY(map->set(eval.meter, key, value));
  }
  Item values[] = {Item(map)};
  return python::percent_format(eval, pattern, values, false);
}

// Cuts the first line, without its end, off a text that is not empty.
std::string_view take_line(std::string_view& text) {
  size_t end = std::min(text.find_first_of("\r\n"), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end);
  text.remove_prefix(text.starts_with("\r\n") ? 2 : std::min<size_t>(1, text.size()));
  return line;
}

Result<Item> indent(Evaluator& eval, Args& args) {
  if (!args[0].is_string()) return type_error("indent wants a str");
  std::string indentation = "    ";
  if (args.given(1) && args[1].is_string()) {
    indentation = args[1].str();
  } else if (args.given(1)) {
    TRY(int64_t width, int_or(args, 1, 4));
    if (width > 10'000) return value_error("an indentation of more than 10000 characters");
    indentation.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  TRY(eval.meter.take(args[0].str().size()));
  std::string text(args[0].str());
  text += '\n';
  std::string out = flag(args, 2) ? indentation : "";
  bool first = true;
  for (std::string_view rest = text; !rest.empty(); first = false) {
    std::string_view line = take_line(rest);
    TRY(eval.meter.step());
    TRY(eval.meter.room(out.size(), indentation.size() + line.size() + 1));
    if (!first) out += '\n';
    if (!first && (flag(args, 3) || !line.empty())) out += indentation;
    out += line;
  }
  return eval.text(std::move(out));
}

Result<Item> truncate(Evaluator& eval, Args& args) {
  TRY(int64_t length, int_or(args, 1, 255));
  TRY(int64_t leeway, int_or(args, 4, 5));
  std::string end = "...";
  if (args.given(3)) {
    TRY(end, eval.str(args[3]));
  }
  auto end_size = static_cast<int64_t>(unicode::length(end));
  if (length < end_size) {
    return eval_error(
        fmt::format("AssertionError: expected length >= {}, got {}", end_size, length));
  }
  if (leeway < 0)
    return eval_error(fmt::format("AssertionError: expected leeway >= 0, got {}", leeway));
  TRY(int64_t size, eval.length(args[0]));
  if (size <= length || size - length <= leeway) return args[0];
  if (!args[0].is_string()) return type_error("truncate wants a str");
  std::string_view text = args[0].str();
  std::string cut = unicode::slice(text, 0, length - end_size, 1);
  size_t space = flag(args, 2) ? std::string::npos : cut.rfind(' ');
  if (space != std::string::npos) cut.resize(space);
  return eval.text(cut + end);
}

// textwrap.wrap of one line: chunks are words (cut after hyphens inside) and the blanks between.
class Wrapper {
 public:
  struct Style {
    size_t width;
    bool break_long;
    bool break_hyphens;
    std::string joint;  // between two lines
  };
  Wrapper(Meter& meter, const Style& style)
      : meter_(meter), style_(style), width_(style.width), break_long_(style.break_long) {}
  std::string out;

  Result<void> wrap(std::string_view line) {
    lines_ = 0;
    size_t begin = 0;
    char32_t before = 0, before_that = 0;  // the characters in front
    for (size_t i = 0; i < line.size();) {
      char32_t c = unicode::decode(line, i);
      bool hyphen_before = i > 0 && before == '-' && unicode::is_alpha(before_that) &&
                           unicode::is_alpha(c) && style_.break_hyphens;
      bool starts = i > 0 && (unicode::is_space(c) != unicode::is_space(before) || hyphen_before);
      if (starts) {
        TRY(add(line.substr(begin, i - begin)));
        begin = i;
      }
      before_that = std::exchange(before, c);
      i += unicode::width(line, i);
    }
    if (!line.empty()) TRY(add(line.substr(begin)));
    TRY(flush());
    if (lines_ == 0) return put("");
    return {};
  }

 private:
  Result<void> put(std::string_view line) {
    TRY(meter_.room(out.size(), style_.joint.size() + line.size()));
    if (std::exchange(begun_, true)) out += style_.joint;
    out += line;
    ++lines_;
    return {};
  }

  Result<void> add(std::string_view chunk) {
    bool blank = unicode::strip(chunk, {}, true, true).empty();
    // One line is filled and begun with each turn but the last; a character is counted once.
    for (size_t size = unicode::length(chunk);;) {
      if (blank && current_.empty() && lines_ > 0) return {};
      if (current_size_ + size <= width_) {
        current_ += chunk;
        current_size_ += size;
        return {};
      }
      if (size <= width_) {
        TRY(flush());
        if (blank) return {};
        continue;
      }
      if (!break_long_) {
        TRY(flush());
        current_ = chunk;
        current_size_ = size;
        return {};
      }
      size_t room = std::min(std::max<size_t>(width_ - current_size_, 1), size);
      size_t cut = unicode::offset_of(chunk, room);
      current_ += chunk.substr(0, cut);
      TRY(flush());
      chunk.remove_prefix(cut);
      size -= room;
    }
  }

  Result<void> flush() {
    std::string_view line = unicode::strip(current_, {}, false, true);
    if (!line.empty()) TRY(put(line));
    current_.clear();
    current_size_ = 0;
    return {};
  }

  Meter& meter_;
  const Style& style_;
  size_t width_;
  bool break_long_;
  bool begun_ = false;
  size_t lines_ = 0;  // that the line became
  std::string current_;
  size_t current_size_ = 0;
};

Result<Item> wordwrap(Evaluator& eval, Args& args) {
  if (!args[0].is_string()) return type_error("wordwrap wants a str");
  TRY(int64_t width, int_or(args, 1, 79));
  if (width <= 0) return value_error(fmt::format("invalid width {} (must be > 0)", width));
  Wrapper::Style style{.width = static_cast<size_t>(width),
                       .break_long = !args.given(2) || flag(args, 2),
                       .break_hyphens = !args.given(4) || flag(args, 4),
                       .joint = "\n"};
  if (args.given(3) && !args[3].is_null()) {
    TRY(style.joint, eval.str(args[3]));
  }
  TRY(eval.meter.step(1 + args[0].str().size()));
  Wrapper wrapper(eval.meter, style);
  for (std::string_view rest = args[0].str(); !rest.empty();) TRY(wrapper.wrap(take_line(rest)));
  return eval.text(std::move(wrapper.out));
}

Result<Item> wordcount(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size(); i += unicode::width(text, i)) {
    char32_t c = unicode::decode(text, i);
    bool word = c == '_' || unicode::is_alpha(c) || unicode::is_digit(c);
    if (word && !inside) ++words;
    inside = word;
  }
  return Item(words);
}

Result<Item> pprint(Evaluator& eval, Args& args) {
  std::string out;
  TRY(python::append_repr(eval.meter, out, args[0]));
  return eval.text(std::move(out));
}

Result<Item> filesizeformat(Evaluator&, Args& args) {
  double bytes = 0;
  if (python::is_number(args[0])) {
    bytes = python::as_double(args[0]);
  } else if (!args[0].is_string() || !python::parse_float(args[0].str(), bytes)) {
    return value_error("could not convert the value to float");
  }
  bool binary = flag(args, 1);
  double base = binary ? 1024 : 1000;
  if (bytes == 1) return Item("1 Byte");
  if (bytes < base) return Item(fmt::format("{:.0f} Bytes", std::trunc(bytes) + 0.0));  // no -0
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base * base;
  size_t i = 0;
  for (; i + 1 < kPrefixes.size() && bytes >= unit; ++i) unit *= base;
  char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  return Item(fmt::format("{:.1f} {}{}", base * bytes / unit, prefix, binary ? "iB" : "B"));
}

Result<Item> decrypt_kv(Evaluator&, Args&) {
  return unsupported("decrypt_kv works on st2kv only: {{ st2kv.system.name | decrypt_kv }}");
}

constexpr Row kFilters[] = {
    {"capitalize", "s", capitalize},
    {"center", "value width?", center},
    {"decrypt_kv", "value", decrypt_kv},
    {"filesizeformat", "value binary?", filesizeformat},
    {"format", "value *args **", format},
    {"indent", "s width? first? blank?", indent},
    {"join", "value d? attribute?", join},
    {"lower", "s", lower},
    {"pprint", "value", pprint},
    {"replace", "s old new count?", replace},
    {"string", "object", string},
    {"title", "s", title},
    {"trim", "value chars?", trim},
    {"truncate", "s length? killwords? end? leeway?", truncate},
    {"upper", "s", upper},
    {"wordcount", "s", wordcount},
    {"wordwrap", "s width? break_long_words? wrapstring? break_on_hyphens?", wordwrap},
};

}  // namespace

std::span<const Row> jinja_text_filters() { return kFilters; }

}  // namespace millrace::expr
