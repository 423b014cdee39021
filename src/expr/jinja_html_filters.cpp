// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/eval.h"
#include "expr/rows.h"
#include "expr/string_methods.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// Filters of Jinja 3.1 for what stands in HTML and in URLs.
namespace millrace::expr {
namespace {

Result<void> append_html(Meter& meter, std::string& out, std::string_view text) {
  constexpr size_t kLongest = 5;  // &amp;
  TRY(meter.scan(text.size()));
  for (char c : text) {
    TRY(meter.room(out.size(), kLongest));
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return {};
}

template <bool Always>
Result<Item> escape(Evaluator& eval, Args& args) {
  if (!Always && args[0].is_safe()) return args[0];
  TRY(std::string text, eval.str(args[0]));
  std::string out;
  TRY(append_html(eval.meter, out, text));
  TRY(eval.meter.take(out.size()));
  return Item::safe(out);
}

Result<Item> safe(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  return Item::safe(text);
}

Result<Item> striptags(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  std::string plain;
  // Behind the last end of a tag nothing is searched again for one.
  const size_t last_tag = text.rfind('>');
  const size_t last_comment = text.rfind("-->");
  auto ends_behind = [](size_t last, size_t i) { return last != std::string::npos && last >= i; };
  for (size_t i = 0; i < text.size();) {
    bool comment = text.compare(i, 4, "<!--") == 0;
    bool may_end = text[i] == '<' && ends_behind(comment ? last_comment : last_tag, i);
    size_t end = !may_end ? std::string::npos : text.find(comment ? "-->" : ">", i);
    if (end == std::string::npos) {
      plain += text[i++];
    } else {
      i = end + (comment ? 3 : 1);
    }
  }
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < plain.size();) {
    size_t n = unicode::width(plain, i);
    bool space = unicode::is_space(unicode::decode(plain, i));
    if (!space && !in_word && !out.empty()) out += ' ';
    if (!space) out.append(plain, i, n);
    in_word = !space;
    i += n;
  }
  constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&lt;", "<"},  {"&gt;", ">"},        {"&#34;", "\""}, {"&quot;", "\""},
      {"&#39;", "'"}, {"&nbsp;", "\u00a0"}, {"&amp;", "&"}};
  TRY(Item result, eval.text(std::move(out)));
  for (const auto& [entity, character] : kEntities) {
    TRY(result, replace_in_text(eval, result.str(), entity, character, -1));
  }
  return result;
}

Result<void> append_quoted_url(Meter& meter, std::string& out, std::string_view text,
                               bool for_query) {
  constexpr size_t kLongest = 3;  // %20
  TRY(meter.scan(text.size()));
  for (char c : text) {
    TRY(meter.room(out.size(), kLongest));
    bool plain = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                 c == '.' || c == '-' || c == '~' || (c == '/' && !for_query);
    if (plain) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return {};
}

Result<Item> urlencode(Evaluator& eval, Args& args) {
  std::vector<std::pair<Item, Item>> pairs;
  if (is_map(args[0])) {
    TRY(pairs, entries_of(eval, args[0]));
  } else if (args[0].is_string() || !Cursor::over(args[0]).ok()) {
    TRY(std::string text, eval.str(args[0]));
    std::string out;
    TRY(append_quoted_url(eval.meter, out, text, false));
    return eval.text(std::move(out));
  } else {
    TRY(auto items, eval.items_of(args[0]));
    for (const auto& item : items) {
      TRY(auto pair, eval.items_of(item));
      if (pair.size() != 2) return value_error("urlencode wants pairs");
      pairs.emplace_back(pair[0], pair[1]);
    }
  }
  std::string out;
  for (const auto& [key, value] : pairs) {
    TRY(std::string name, eval.str(key));
    TRY(std::string text, eval.str(value));
    if (!out.empty()) out += '&';
    TRY(append_quoted_url(eval.meter, out, name, true));
    out += '=';
    TRY(append_quoted_url(eval.meter, out, text, true));
  }
  return eval.text(std::move(out));
}

Result<Item> xmlattr(Evaluator& eval, Args& args) {
  if (!is_map(args[0])) return type_error("xmlattr wants a mapping");
  TRY(auto entries, entries_of(eval, args[0]));
  std::string out;
  for (const auto& [key, value] : entries) {
    if (value.is_null() || value.is_undefined()) continue;
    TRY(std::string name, eval.str(key));
    TRY(std::string text, eval.str(value));
    if (!out.empty()) out += ' ';
    TRY(append_html(eval.meter, out, name));
    out += "=\"";
    TRY(append_html(eval.meter, out, text));
    out += '"';
  }
  if (!out.empty() && (!args.given(1) || python::truth(args[1]))) out.insert(0, " ");
  return eval.text(std::move(out));
}

// Characters that HTML gives a meaning are written as \u003c.
Result<Item> tojson(Evaluator& eval, Args& args) {
  JsonStyle style{.sort_keys = true};
  if (args.given(1)) {
    TRY(style.indent, json_indent(args[1]));
  }
  if (style.indent) style.item_separator = ",";
  TRY(std::string text, dump_json(eval, args[0], style));
  TRY(eval.meter.take(text.size()));
  constexpr size_t kLongest = 6;  // \u003c
  std::string out;
  for (char c : text) {
    TRY(eval.meter.room(out.size(), kLongest));
    switch (c) {
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      case '\'': out += "\\u0027"; break;
      default: out += c;
    }
  }
  if (out.size() > text.size()) TRY(eval.meter.take(out.size() - text.size()));
  return Item::safe(out);
}

constexpr Row kHtmlFilters[] = {
    {"e", "s", escape<false>},
    {"escape", "s", escape<false>},
    {"forceescape", "value", escape<true>},
    {"safe", "value", safe},
    {"striptags", "value", striptags},
    {"tojson", "value indent?", tojson},
    {"urlencode", "value", urlencode},
    {"xmlattr", "d autospace?", xmlattr},
};

}  // namespace

std::span<const Row> jinja_html_filters() { return kHtmlFilters; }

}  // namespace millrace::expr
