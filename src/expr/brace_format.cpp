// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/eval.h"
#include "expr/python_format.h"

namespace millrace::expr::python {
namespace {

// str.format: `{}`, `{0}`, `{name.attr[key]!r:spec}`.
class BraceFormatter {
 public:
  BraceFormatter(Evaluator& eval, std::span<const Item> values,
                 const std::vector<std::pair<std::string_view, Item>>& named)
      : eval_(eval), values_(values), named_(named) {}

  Result<std::string> run(std::string_view pattern, int depth) {
    std::string out;
    for (size_t i = 0; i < pattern.size();) {
      char c = pattern[i];
      if (c != '{' && c != '}') {
        out += c;
        ++i;
        continue;
      }
      if (i + 1 < pattern.size() && pattern[i + 1] == c) {
        out += c;
        i += 2;
        continue;
      }
      if (c == '}') return value_error("Single '}' encountered in format string");
      TRY(eval_.meter.step());
      size_t end = closing(pattern, i + 1);
      if (end == std::string_view::npos) {
        return value_error("expected '}' before end of string");
      }
      TRY(std::string text, field(pattern.substr(i + 1, end - i - 1), depth));
      TRY(eval_.meter.room(out.size(), text.size()));
      out += text;
      i = end + 1;
    }
    return out;
  }

 private:
  static size_t closing(std::string_view pattern, size_t i) {
    int open = 1;
    for (; i < pattern.size(); ++i) {
      if (pattern[i] == '{') ++open;
      if (pattern[i] == '}' && --open == 0) return i;
    }
    return std::string_view::npos;
  }

  Result<std::string> field(std::string_view text, int depth) {
    if (depth > 1) return value_error("Max string recursion exceeded");
    std::string spec;
    size_t end_of_name = text.find_first_of("!:");
    std::string_view name = text.substr(0, end_of_name);
    TRY(Item value,
        lookup(name));  // before its spec: `{:{}}` takes the value first, then the width
    char conversion = '\0';
    if (end_of_name != std::string_view::npos) {
      std::string_view rest = text.substr(end_of_name);
      if (rest.starts_with('!')) {
        if (rest.size() < 2) return value_error("end of string while looking for conversion");
        conversion = rest[1];
        rest.remove_prefix(2);
        if (!rest.empty() && rest[0] != ':') {
          return value_error("expected ':' after conversion specifier");
        }
      }
      if (rest.starts_with(':')) {
        TRY(spec, run(rest.substr(1), depth + 1));
      }
    }
    if (conversion == 'r' || conversion == 'a') {
      std::string repr;
      TRY(append_repr(eval_.meter, repr, value));
      TRY(value, eval_.text(std::move(repr)));
    } else if (conversion == 's') {
      if (!value.is_string()) {
        TRY(std::string plain, eval_.str(value));
        value = Item(plain);
      }
    } else if (conversion != '\0') {
      return value_error(fmt::format("Unknown conversion specifier '{}'", conversion));
    }
    return format_value(eval_, value, spec);
  }

  Result<Item> lookup(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    TRY(Item value, first(name.substr(0, end)));
    name.remove_prefix(end);
    while (!name.empty()) {
      if (name[0] == '.') {
        return eval_error(fmt::format("AttributeError: '{}' object has no attribute '{}'",
                                      type_name(value), name.substr(1)));
      }
      size_t close = name.find(']');
      if (close == std::string_view::npos || close == 1) {
        return value_error("Empty attribute in format string");
      }
      std::string_view key = name.substr(1, close - 1);
      Item index;
      bool numeric = parse_int(key, 10, index) && key.find_first_not_of("0123456789") == key.npos;
      if (!numeric) {
        TRY(index, eval_.copied(key));
      }
      TRY(value, eval_.subscript(value, index));
      if (value.is_undefined()) return eval_error(fmt::format("KeyError: {}", key));
      name.remove_prefix(close + 1);
    }
    return value;
  }

  Result<Item> first(std::string_view name) {
    Item index;
    if (name.empty()) {
      index = Item(next_++);
    } else if (name.find_first_not_of("0123456789") == std::string_view::npos) {
      if (!parse_int(name, 10, index))
        return value_error("Too many decimal digits in format string");
    } else {
      TRY(eval_.meter.step(named_.size() / 16));
      for (const auto& [key, value] : named_) {
        if (key == name) return value;
      }
      return eval_error(fmt::format("KeyError: {}", name));
    }
    if (!index.is_int() || index.value().as_int() >= static_cast<int64_t>(values_.size())) {
      return eval_error("IndexError: Replacement index out of range for positional args tuple");
    }
    return values_[static_cast<size_t>(index.value().as_int())];
  }

  Evaluator& eval_;
  std::span<const Item> values_;
  const std::vector<std::pair<std::string_view, Item>>& named_;
  int64_t next_ = 0;
};

}  // namespace

Result<Item> brace_format(Evaluator& eval, std::string_view pattern, std::span<const Item> values,
                          const std::vector<std::pair<std::string_view, Item>>& named) {
  TRY(std::string text, BraceFormatter(eval, values, named).run(pattern, 0));
  return eval.text(std::move(text));
}

}  // namespace millrace::expr::python
