// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "expr/eval.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

namespace millrace::expr {

bool is_map(const Item& item) { return item.is_plain_map() || item.is(ObjectKind::Dict); }

bool is_sequence(const Item& item) {
  if (item.is_plain_list()) return true;
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  return seq && (seq->flavor == Flavor::List || seq->flavor == Flavor::Tuple);
}

bool is_python_dict(const Evaluator& eval, const Item& item) {
  if (item.is_plain_map()) return !eval.is_yaql() || item.is_raw();
  auto* dict = item.as<Dict>(ObjectKind::Dict);
  return dict && !dict->frozen;
}

bool is_python_list(const Evaluator& eval, const Item& item) {
  if (item.is_plain_list()) return !eval.is_yaql() || item.is_raw();
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  return seq && seq->flavor == Flavor::List;
}

Result<std::vector<std::pair<Item, Item>>> entries_of(Evaluator& eval, const Item& map) {
  std::vector<std::pair<Item, Item>> out;
  if (auto* dict = map.as<Dict>(ObjectKind::Dict)) {
    TRY(eval.meter.step(dict->values.size() + 1));
    TRY(eval.meter.take(dict->values.size() * sizeof(out[0])));
    out.reserve(dict->values.size());
    for (size_t i = 0; i < dict->values.size(); ++i) {
      out.emplace_back(dict->table.keys()[i], dict->values[i]);
    }
  } else if (map.is_plain_map()) {
    TRY(eval.meter.step(map.value().size() + 1));
    TRY(eval.meter.take(map.value().size() * sizeof(out[0])));
    out.reserve(map.value().size());
    for (const auto& entry : map.value().as_map()) {
      out.emplace_back(Item(entry.key), map.child(entry.value));
    }
  }
  return out;
}

namespace {

Result<void> append_escaped(Meter& meter, std::string& out, std::string_view text,
                            bool ascii_only) {
  constexpr size_t kLongest = 12;  // \ud83d\ude00
  TRY(meter.scan(text.size()));
  TRY(meter.room(out.size(), text.size() + 2));
  out += '"';
  for (size_t i = 0; i < text.size();) {
    TRY(meter.room(out.size(), kLongest));
    size_t n = unicode::width(text, i);
    char32_t c = unicode::decode(text, i);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\f': out += "\\f"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c < 0x20 || (ascii_only && c >= 0x7F && c != 0x7F && c < 0x10000)) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c));
        } else if (ascii_only && c >= 0x10000) {
          auto rest = static_cast<uint32_t>(c) - 0x10000;
          fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10),
                         0xDC00 + (rest & 0x3FF));
        } else {
          out += text.substr(i, n);
        }
    }
    i += n;
  }
  out += '"';
  return {};
}

// Every append whose size an argument gives is asked for before.
class JsonWriter {
 public:
  JsonWriter(Evaluator& eval, const JsonStyle& style) : eval_(eval), style_(style) {}
  std::string out;

  Result<void> write(const Item& item, int level) {
    TRY(eval_.meter.room(out.size(), 0));
    TRY(eval_.meter.step());
    if (item.is_undefined()) return undefined_use(item);
    if (item.is_string()) {
      return append_escaped(eval_.meter, out, item.str(), style_.ascii_only);
    } else if (item.is_null()) {
      out += "null";
    } else if (item.is_bool()) {
      out += item.value().as_bool() ? "true" : "false";
    } else if (item.is_float()) {
      append_number(item.value().as_float());
    } else if (python::is_integer(item)) {
      out += to_string(python::as_int128(item));
    } else if (is_sequence(item)) {
      return list(item, level);
    } else if (is_map(item)) {
      return map(item, level);
    } else {
      return type_error(
          fmt::format("Object of type {} is not JSON serializable", python::type_name(item)));
    }
    return {};
  }

 private:
  void append_number(double d) {
    if (std::isnan(d)) {
      out += "NaN";
    } else if (std::isinf(d)) {
      out += d < 0 ? "-Infinity" : "Infinity";
    } else {
      python::append_float(out, d);
    }
  }

  Result<void> put(std::string_view text) {
    TRY(eval_.meter.room(out.size(), text.size()));
    out += text;
    return {};
  }

  Result<void> new_line(int level) {
    if (!style_.indent) return {};
    int64_t blanks = std::clamp<int64_t>(*style_.indent, 0, kMostIndent) * level;
    TRY(eval_.meter.room(out.size(), static_cast<size_t>(blanks) + 1));
    out += '\n';
    out.append(static_cast<size_t>(blanks), ' ');
    return {};
  }

  Result<void> list(const Item& item, int level) {
    TRY(eval_.meter.enter());
    Level deeper(eval_.meter);
    TRY(auto items, eval_.items_of(item));
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) TRY(put(style_.item_separator));
      TRY(new_line(level + 1));
      TRY(write(items[i], level + 1));
    }
    if (!items.empty()) TRY(new_line(level));
    out += ']';
    return {};
  }

  Result<void> map(const Item& item, int level) {
    TRY(eval_.meter.enter());
    Level deeper(eval_.meter);
    TRY(auto entries, entries_of(eval_, item));
    std::vector<std::pair<std::string, Item>> named;
    for (auto& [key, value] : entries) {
      TRY(std::string name, key_text(key));
      named.emplace_back(std::move(name), std::move(value));
    }
    if (style_.sort_keys) {
      TRY(eval_.meter.step(named.size()));
      std::sort(named.begin(), named.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out += '{';
    for (size_t i = 0; i < named.size(); ++i) {
      if (i > 0) TRY(put(style_.item_separator));
      TRY(new_line(level + 1));
      TRY(append_escaped(eval_.meter, out, named[i].first, style_.ascii_only));
      TRY(put(style_.key_separator));
      TRY(write(named[i].second, level + 1));
    }
    if (!named.empty()) TRY(new_line(level));
    out += '}';
    return {};
  }

  Result<std::string> key_text(const Item& key) {
    if (key.is_null()) return std::string("null");
    if (key.is_bool()) return std::string(key.value().as_bool() ? "true" : "false");
    if (key.is_string() || python::is_number(key)) return eval_.str(key);
    return type_error(
        fmt::format("keys must be str, int, float, bool or None, not {}", python::type_name(key)));
  }

  Evaluator& eval_;
  const JsonStyle& style_;
};

}  // namespace

Result<std::optional<int64_t>> json_indent(const Item& given) {
  if (given.is_null()) return std::optional<int64_t>();
  TRY(int64_t indent, python::as_index(given, "indent"));
  if (indent <= kMostIndent) return std::optional(indent);
  return value_error(fmt::format("expected an indent up to {}, found {}", kMostIndent, indent));
}

Result<std::string> dump_json(Evaluator& eval, const Item& item, const JsonStyle& style) {
  JsonWriter writer(eval, style);
  TRY(writer.write(item, 0));
  TRY(eval.meter.take(writer.out.size()));
  return std::move(writer.out);
}

// How many lists and maps it has, at most: the room of an empty one is its smallest part.
static size_t json_blocks(std::string_view text) {
  auto opens = [](char c) { return c == '[' || c == '{'; };
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), opens));
}

Result<Item> load_json(Evaluator& eval, std::string_view text) {
  TRY(eval.meter.take(text.size() * 4));
  TRY(eval.meter.take(json_blocks(text) * 64));
  TRY(eval.meter.step(1 + text.size() / 4));  // `{}`s take 80 ns a byte
  auto parsed = parse_json(text);
  if (!parsed.ok()) {
    return eval_error(fmt::format("JSONDecodeError: {}", parsed.error().message()));
  }
  return Item::raw(std::move(parsed).value());
}

}  // namespace millrace::expr
