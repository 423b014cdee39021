// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "expr/eval.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// yaml.safe_dump of PyYAML 6, block style: which scalars are quoted and where lines are folded
// follow analyze_scalar and the writers of yaml/emitter.py.
namespace millrace::expr {
namespace {

constexpr size_t kBestWidth = 80;
constexpr size_t kLongestSimple = 128;  // characters of a key on one line

bool is_break(char32_t c) { return c == '\n' || c == 0x85 || c == 0x2028 || c == 0x2029; }
bool is_blank_or_break(char32_t c) {
  return c == 0 || c == ' ' || c == '\t' || c == '\r' || is_break(c);
}

struct Analysis {
  bool empty = false;
  bool multiline = false;
  bool plain = true;
  bool single_quoted = true;
};

// Whether `text` at its start, or anywhere, holds a character that YAML reads as syntax.
bool has_indicator(const std::u32string& text) {
  constexpr std::u32string_view kLeading = U"#,[]{}&*!|>'\"%@`";
  if (text.starts_with(U"---") || text.starts_with(U"...")) return true;
  auto blank_after = [&](size_t i) {
    return i + 1 >= text.size() || is_blank_or_break(text[i + 1]);
  };
  if (kLeading.find(text[0]) != kLeading.npos) return true;
  if ((text[0] == '?' || text[0] == ':' || text[0] == '-') && blank_after(0)) return true;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == ':' && blank_after(i)) return true;
    if (text[i] == '#' && is_blank_or_break(text[i - 1])) return true;
  }
  return false;
}

bool is_special(char32_t c, bool allow_unicode) {
  if (c == '\n' || (c >= 0x20 && c <= 0x7E)) return false;
  bool printable = (c == 0x85 || (c >= 0xA0 && c <= 0xD7FF) || (c >= 0xE000 && c <= 0xFFFD) ||
                    (c >= 0x10000 && c < 0x10FFFF)) &&
                   c != 0xFEFF;
  return !printable || !allow_unicode;
}

Analysis analyze(const std::u32string& text, bool allow_unicode) {
  Analysis out;
  if (text.empty()) {
    out.empty = true;
    return out;
  }
  bool special = false;
  bool break_space = false;
  bool space_break = false;
  for (size_t i = 0; i < text.size(); ++i) {
    special |= is_special(text[i], allow_unicode);
    out.multiline |= is_break(text[i]);
    if (i == 0) continue;
    break_space |= text[i] == ' ' && is_break(text[i - 1]);
    space_break |= is_break(text[i]) && text[i - 1] == ' ';
  }
  auto edge = [](char32_t c) { return c == ' ' || is_break(c); };
  out.plain = !edge(text.front()) && !edge(text.back()) && !break_space && !space_break &&
              !special && !out.multiline && !has_indicator(text);
  out.single_quoted = !break_space && !space_break && !special;
  return out;
}

class YamlWriter {
 public:
  YamlWriter(Evaluator& eval, const YamlStyle& style) : eval_(eval), style_(style) {
    if (style_.indent < 2 || style_.indent > 9) style_.indent = 2;
  }
  std::string out;

  Result<void> document(const Item& item) {
    TRY(node(item, 0, 0, Place::Root));
    if (open_ended_) out += "\n...";
    out += '\n';
    return {};
  }

 private:
  enum class Place : uint8_t { Root, InList, InMap, Key };

  Result<void> node(const Item& item, size_t indent, size_t list_indent, Place place) {
    if (out.size() > eval_.meter.budget().output_bytes) return eval_.meter.output_spent();
    TRY(eval_.meter.step());
    if (item.is_undefined()) return undefined_use(item);
    if (is_sequence(item)) return list(item, list_indent, place);
    if (is_map(item)) return map(item, indent, place);
    if (item.is_string()) return string(item.str(), indent, place);
    TRY(std::string text, plain_scalar(item));
    word(text);
    open_ended_ |= place == Place::Root;
    return {};
  }

  Result<std::string> plain_scalar(const Item& item) {
    if (item.is_null()) return std::string("null");
    if (item.is_bool()) return std::string(item.value().as_bool() ? "true" : "false");
    if (python::is_integer(item)) return to_string(python::as_int128(item));
    if (!item.is_float()) {
      return eval_error(fmt::format("RepresenterError: cannot represent an object of type {}",
                                    python::type_name(item)));
    }
    double d = item.value().as_float();
    if (std::isnan(d)) return std::string(".nan");
    if (std::isinf(d)) return std::string(d < 0 ? "-.inf" : ".inf");
    std::string text;
    python::append_float(text, d);
    size_t e = text.find('e');
    if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
    return text;
  }

  // Exact up to a few hundred; nobody asks more than whether it is past kBestWidth.
  size_t column() const {
    size_t seen = std::min<size_t>(out.size(), 4 * kBestWidth + 4);
    std::string_view tail = std::string_view(out).substr(out.size() - seen);
    size_t line = tail.rfind('\n');
    return unicode::length(line == std::string_view::npos ? tail : tail.substr(line + 1));
  }
  void word(std::string_view text) {
    if (!out.empty() && out.back() != '\n' && out.back() != ' ') out += ' ';
    out += text;
  }
  void new_line(size_t indent) {
    out += '\n';
    out.append(indent, ' ');
  }

  Result<void> list(const Item& item, size_t indent, Place place) {
    TRY(eval_.meter.enter());
    Level level(eval_.meter);
    TRY(auto items, eval_.items_of(item));
    if (items.empty()) {
      word("[]");
      return {};
    }
    auto step = static_cast<size_t>(style_.indent);
    for (size_t i = 0; i < items.size(); ++i) {
      bool first = i == 0 && place == Place::InList;
      if (!first && !(i == 0 && place == Place::Root)) new_line(indent);
      if (first) pad_to(indent);
      out += '-';
      TRY(node(items[i], indent + step, indent + step, Place::InList));
    }
    return {};
  }

  // Behind a "-" the next level begins on the same line, at its column.
  void pad_to(size_t indent) {
    size_t at = column();
    if (at < indent) out.append(indent - at, ' ');
  }

  Result<void> map(const Item& item, size_t indent, Place place) {
    TRY(eval_.meter.enter());
    Level level(eval_.meter);
    TRY(auto entries, entries_of(eval_, item));
    if (entries.empty()) {
      word("{}");
      return {};
    }
    TRY(sort(entries));
    auto step = static_cast<size_t>(style_.indent);
    for (size_t i = 0; i < entries.size(); ++i) {
      bool first = i == 0 && place == Place::InList;
      if (!first && !(i == 0 && place == Place::Root)) new_line(indent);
      if (first) pad_to(indent);
      const Item& key = entries[i].first;
      bool simple =
          !is_sequence(key) && !is_map(key) && (!key.is_string() || is_simple_key(key.str()));
      if (simple) {
        size_t start = out.size();
        TRY(node(key, indent, indent, Place::Key));
        if (out[start] == ' ' && start > 0 && out[start - 1] == ' ') out.erase(start, 1);
        out += ':';
      } else {
        out += '?';
        TRY(node(key, indent + step, indent + step, Place::InList));
        new_line(indent);
        out += ':';
      }
      TRY(node(entries[i].second, indent + step, indent, Place::InMap));
    }
    return {};
  }

  // PyYAML sorts the keys when they can be compared.
  Result<void> sort(std::vector<std::pair<Item, Item>>& entries) {
    for (const auto& entry : entries) {
      if (python::is_number(entry.first) != python::is_number(entries[0].first)) return {};
      if (entry.first.is_string() != entries[0].first.is_string()) return {};
    }
    std::optional<Error> failed;
    std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
      auto order = python::compare(eval_.meter, a.first, b.first);
      if (!order.ok() && !failed) failed = order.error();
      return order.ok() && *order < 0;
    });
    return {};
  }

  static std::u32string decode(std::string_view text) {
    std::u32string chars;
    chars.reserve(text.size());
    for (size_t i = 0; i < text.size(); i += unicode::width(text, i)) {
      chars += unicode::decode(text, i);
    }
    return chars;
  }

  // For its characters, and for what each may become: U+10FFFF is ten. A blank is a place where a
  // line may end: the column is counted there.
  Result<void> charge(std::string_view text) {
    constexpr size_t kLongest = 10;
    auto blanks = static_cast<size_t>(std::ranges::count(text, ' '));
    TRY(eval_.meter.step(text.size() / 16 + blanks / 2));
    TRY(eval_.meter.take(text.size() * sizeof(char32_t)));
    auto plain = [](char c) { return c >= ' ' && c <= '~'; };
    auto odd = static_cast<size_t>(std::ranges::count_if(text, std::not_fn(plain)));
    return eval_.meter.room(out.size(), text.size() + odd * kLongest);
  }

  bool is_simple_key(std::string_view text) {
    if (text.size() > 4 * kLongestSimple) return false;
    auto analysis = analyze(decode(text), style_.allow_unicode);
    return unicode::length(text) < kLongestSimple && !analysis.empty && !analysis.multiline;
  }

  Result<void> string(std::string_view text, size_t indent, Place place) {
    TRY(charge(text));
    std::u32string chars = decode(text);
    Analysis analysis = analyze(chars, style_.allow_unicode);
    bool is_key = place == Place::Key;
    bool resolves = resolve_yaml_scalar(text).has_value() || is_yaml_timestamp(text) ||
                    text == "=" || text == "<<";
    bool plain = !resolves && analysis.plain && !(is_key && (analysis.empty || analysis.multiline));
    // The writers fold at the indent of the enclosing collection's children.
    size_t fold = place == Place::Root ? static_cast<size_t>(style_.indent) : indent;
    if (plain) {
      write_plain(chars, fold, !is_key);
      open_ended_ |= place == Place::Root;
    } else if (analysis.single_quoted && !(is_key && analysis.multiline)) {
      write_single(chars, fold, !is_key);
    } else {
      write_double(chars, fold, !is_key);
    }
    return {};
  }

  void put(std::u32string_view chars) {
    for (char32_t c : chars) unicode::append(out, c);
  }

  // Text up to the next run of spaces; a single space past the width becomes a line end.
  void write_plain(const std::u32string& text, size_t indent, bool fold) {
    word("");
    for (size_t i = 0; i < text.size();) {
      size_t end = i;
      if (text[i] == ' ') {
        while (end < text.size() && text[end] == ' ') ++end;
        if (end == i + 1 && column() > kBestWidth && fold) {
          new_line(indent);
        } else {
          put(std::u32string_view(text).substr(i, end - i));
        }
      } else {
        while (end < text.size() && text[end] != ' ') ++end;
        put(std::u32string_view(text).substr(i, end - i));
      }
      i = end;
    }
  }

  void write_single(const std::u32string& text, size_t indent, bool fold) {
    word("'");
    for (size_t i = 0; i < text.size();) {
      size_t end = i;
      if (text[i] == ' ') {
        while (end < text.size() && text[end] == ' ') ++end;
        if (end == i + 1 && column() > kBestWidth && fold && i != 0 && end != text.size()) {
          new_line(indent);
        } else {
          put(std::u32string_view(text).substr(i, end - i));
        }
      } else if (is_break(text[i])) {
        while (end < text.size() && is_break(text[end])) ++end;
        if (text[i] == '\n') out += '\n';
        for (size_t k = i; k < end; ++k) {
          if (text[k] == '\n') {
            out += '\n';
          } else {
            unicode::append(out, text[k]);
          }
        }
        out.append(indent, ' ');
      } else if (text[i] == '\'') {
        out += "''";
        end = i + 1;
      } else {
        while (end < text.size() && text[end] != ' ' && !is_break(text[end]) && text[end] != '\'') {
          ++end;
        }
        put(std::u32string_view(text).substr(i, end - i));
      }
      i = end;
    }
    out += '\'';
  }

  bool needs_escape(char32_t c) const {
    if (c == '"' || c == '\\' || c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xFEFF)
      return true;
    if (c >= 0x20 && c <= 0x7E) return false;
    return !(style_.allow_unicode && ((c >= 0xA0 && c <= 0xD7FF) || (c >= 0xE000 && c <= 0xFFFD)));
  }

  void escape(char32_t c) {
    constexpr std::u32string_view kFrom(
        U"\0\x07\x08\x09\x0A\x0B\x0C\x0D\x1B\"\\\x85\xA0\u2028\u2029", 15);
    constexpr std::string_view kTo = "0abtnvfre\"\\N_LP";
    auto sink = std::back_inserter(out);
    if (size_t at = kFrom.find(c); at != kFrom.npos) {
      out += '\\';
      out += kTo[at];
    } else if (c <= 0xFF) {
      fmt::format_to(sink, "\\x{:02X}", static_cast<uint32_t>(c));
    } else if (c <= 0xFFFF) {
      fmt::format_to(sink, "\\u{:04X}", static_cast<uint32_t>(c));
    } else {
      fmt::format_to(sink, "\\U{:08X}", static_cast<uint32_t>(c));
    }
  }

  // As write_double_quoted: `start`..`end` is text that is not written yet.
  void write_double(const std::u32string& text, size_t indent, bool fold) {
    word("\"");
    size_t start = 0;
    for (size_t end = 0; end <= text.size(); ++end) {
      bool last = end == text.size();
      if (last || needs_escape(text[end])) {
        put(std::u32string_view(text).substr(start, end - start));
        start = end;
        if (!last) {
          escape(text[end]);
          start = end + 1;
        }
      }
      bool may_fold =
          fold && end > 0 && end + 1 < text.size() && (text[end] == ' ' || start >= end);
      if (may_fold && column() + (end > start ? end - start : 0) > kBestWidth) {
        if (start < end) {
          put(std::u32string_view(text).substr(start, end - start));
          start = end;
        }
        out += '\\';
        new_line(indent);
        if (text[start] == ' ') out += '\\';
      }
    }
    out += '"';
  }

  Evaluator& eval_;
  YamlStyle style_;
  bool open_ended_ = false;
};

}  // namespace

Result<std::string> dump_yaml(Evaluator& eval, const Item& item, const YamlStyle& style) {
  YamlWriter writer(eval, style);
  TRY(writer.document(item));
  TRY(eval.meter.take(writer.out.size()));
  return std::move(writer.out);
}

}  // namespace millrace::expr
