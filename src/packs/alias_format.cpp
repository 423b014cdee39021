// SPDX-License-Identifier: Apache-2.0
#include "packs/alias_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/text.h"
#include "expr/meter.h"
#include "expr/regex.h"

namespace millrace::packs {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\f\v";

bool is_space(char c) { return kSpaces.find(c) != std::string_view::npos; }

bool is_name(std::string_view text) {
  auto may_begin = [](unsigned char c) { return std::isalpha(c) || c == '_'; };
  return !text.empty() && may_begin(static_cast<unsigned char>(text.front())) &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

std::string_view unquoted(std::string_view text) {
  bool is_quoted = text.size() > 1 && text.front() == text.back() &&
                   (text.front() == '"' || text.front() == '\'');
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

// `{{ name }}`, `{{ name=default }}`, with the spaces before it.
struct Place {
  std::string_view name;
  std::optional<std::string_view> fallback;
  size_t end = 0;  // behind its `}}`
};

// Where a default ends that begins with a brace, or SIZE_MAX.
size_t end_of_braces(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at + 1;
  }
  return std::string_view::npos;
}

Error bad_place(std::string_view text) {
  return Error(ErrorKind::Invalid, "PCK-0025",
               fmt::format("expected '{{{{ name }}}}' or '{{{{ name=default }}}}', found {}",
                           json_excerpt(text, 60)));
}

// `at`: behind its `{{`.
Result<Place> place_at(std::string_view text, size_t at) {
  Place place;
  size_t stop = text.find_first_of("=}", at);
  if (stop == text.npos) return bad_place(text.substr(at - 2));
  place.name = trim(text.substr(at, stop - at));
  if (!is_name(place.name)) return bad_place(text.substr(at - 2));
  size_t value = stop + 1;
  if (text[stop] == '=') {
    while (value < text.size() && is_space(text[value])) ++value;
    bool is_quoted = value < text.size() && (text[value] == '"' || text[value] == '\'');
    size_t end = text.npos;
    if (is_quoted && text.find(text[value], value + 1) != text.npos) {
      end = text.find(text[value], value + 1) + 1;
    } else if (value < text.size() && text[value] == '{') {
      end = end_of_braces(text, value);
    }
    stop = text.find("}}", end == text.npos ? value : end);
    if (stop == text.npos) return bad_place(text.substr(at - 2));
    place.fallback = unquoted(trim(text.substr(value, stop - value)));
  }
  if (text.substr(stop, 2) != "}}") return bad_place(text.substr(at - 2));
  place.end = stop + 2;
  return place;
}

// Takes the last `name=value` off the end of a command, if one stands there.
std::optional<std::pair<std::string, std::string>> take_pair(std::string_view& command) {
  std::string_view text = command;
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  size_t value = text.npos;
  char last = text.back();
  if (last == '"' || last == '\'') {
    value = text.rfind(last, text.size() - 2);
  } else if (last == '}') {
    int depth = 0;
    for (size_t at = text.size(); at-- > 0 && value == text.npos;) {
      depth += text[at] == '}' ? 1 : text[at] == '{' ? -1 : 0;
      if (depth == 0) value = at;
    }
  }
  bool is_bare = value == text.npos || value == 0 || text[value - 1] != '=';
  if (is_bare) {
    size_t word = text.find_last_of(kSpaces) + 1;  // 0 when there is none
    size_t equals = text.find('=', word);
    if (equals == text.npos) return std::nullopt;
    value = equals + 1;
    bool is_half = value < text.size() && (text[value] == '"' || text[value] == '\'');
    if (is_half && !(text.size() > value + 1 && text.back() == text[value])) return std::nullopt;
  }
  size_t name = text.find_last_of(kSpaces, value - 1) + 1;
  std::string_view key = text.substr(name, value - 1 - name);
  bool is_there = value <= text.size() && is_name(key) && value < text.size();
  if (!is_there) return std::nullopt;
  std::pair out{std::string(key), std::string(unquoted(text.substr(value)))};
  command = text.substr(0, name);
  return out;
}

expr::Budget budget_of_formats() {
  return {.steps = 10'000'000, .depth = 10, .output_bytes = 1 << 20, .memory_bytes = 16 << 20};
}

}  // namespace

Result<std::shared_ptr<const AliasFormat>> AliasFormat::compile(std::string_view text) {
  return compile(text, false);
}

Result<std::shared_ptr<const AliasFormat>> AliasFormat::compile_loose(std::string_view text) {
  return compile(text, true);
}

Result<std::shared_ptr<const AliasFormat>> AliasFormat::compile(std::string_view text,
                                                                bool is_loose) {
  auto format = std::shared_ptr<AliasFormat>(new AliasFormat);
  format->text_ = text;
  bool starts = text.starts_with('^') || text.starts_with("\\A");
  bool ends = text.ends_with('$') || text.ends_with("\\Z");
  std::string pattern = is_loose || starts ? "" : "^\\s*";
  std::vector<std::string_view> names;
  size_t at = 0;
  for (;;) {
    size_t open = text.find("{{", at);
    if (open == text.npos) break;
    TRY(Place place, place_at(text, open + 2));
    if (std::ranges::find(names, place.name) != names.end()) {
      return Error(ErrorKind::Invalid, "PCK-0025",
                   fmt::format("'{}': '{}' has two places", text, place.name));
    }
    names.push_back(place.name);
    size_t spaces = open;
    while (spaces > at && is_space(text[spaces - 1])) --spaces;
    pattern += text.substr(at, spaces - at);
    std::string value = fmt::format(R"({}(?P<{}>"[^"]*"|'[^']*'|\{{.*?\}}|\S.*?))",
                                    text.substr(spaces, open - spaces), place.name);
    if (place.fallback) {
      pattern += "(?:" + value + ")?";
      format->defaults_.emplace_back(place.name, *place.fallback);
    } else {
      pattern += value;
    }
    at = place.end;
  }
  pattern += text.substr(at);
  if (!is_loose && !ends) pattern += "\\s*$";
  format->before_ = is_loose || starts ? "" : " ";
  format->behind_ = is_loose || ends ? "" : " ";
  expr::Meter meter(budget_of_formats());
  auto regex = expr::Regex::compile(meter, pattern, {.dot_all = true});
  if (!regex.ok()) {
    return Error(ErrorKind::Invalid, "PCK-0025",
                 fmt::format("'{}': {}", text, regex.error().message()));
  }
  format->regex_ = std::move(*regex);
  return std::shared_ptr<const AliasFormat>(std::move(format));
}

namespace {

// The groups of a match that took part, by name.
void add_groups(Value& values, const expr::Regex& regex, const expr::Match& match,
                std::string_view text) {
  for (const auto& [name, number] : regex.group_names()) {
    const auto& range = match.groups[static_cast<size_t>(number)];
    if (!range) continue;
    values.set(name, unquoted(text.substr(range->first, range->second - range->first)));
  }
}

}  // namespace

Result<std::optional<Value>> AliasFormat::match(std::string_view command,
                                                expr::Allowance& allowance) const {
  Value pairs = Value::map();
  while (auto pair = take_pair(command)) pairs.set(pair->first, pair->second);
  std::string text = before_ + std::string(command) + behind_;
  expr::Meter meter(budget_of_formats(), &allowance);
  TRY(auto found, regex_->search(meter, text));
  if (!found) return std::optional<Value>();
  Value values = Value::map();
  add_groups(values, *regex_, *found, text);
  for (const auto& [name, fallback] : defaults_) {
    if (values.string_or(name, "").empty()) values.set(name, fallback);
  }
  for (const auto& entry : pairs.as_map()) values.set(entry.name(), entry.value);
  bool says_nothing = trim(command).empty() && values.size() == 0;
  if (says_nothing && !text_.empty()) return std::optional<Value>();
  return std::optional<Value>(std::move(values));
}

Result<std::vector<Value>> AliasFormat::match_all(std::string_view command,
                                                  expr::Allowance& allowance) const {
  Value pairs = Value::map();
  while (auto pair = take_pair(command)) pairs.set(pair->first, pair->second);
  expr::Meter meter(budget_of_formats(), &allowance);
  expr::MatchCursor cursor(*regex_, command);
  std::vector<Value> all;
  for (;;) {
    TRY(auto found, cursor.next(meter));
    if (!found) return all;
    Value values = Value::map();
    add_groups(values, *regex_, *found, command);
    for (const auto& [name, fallback] : defaults_) {
      if (values.string_or(name, "").empty()) values.set(name, fallback);
    }
    for (const auto& entry : pairs.as_map()) values.set(entry.name(), entry.value);
    all.push_back(std::move(values));
  }
}

Value list_of_text(std::string_view text) {
  text = trim(text);
  bool has_brackets = text.starts_with('[') && text.ends_with(']');
  if (has_brackets) {
    auto parsed = parse_json(text, {});
    if (parsed.ok()) return std::move(*parsed);  // may fail: then its words are not quoted
    text = text.substr(1, text.size() - 2);
  }
  Value list = Value::list();
  for (std::string_view word : split(text, ',')) list.push_back(trim(word));
  return list;
}

}  // namespace millrace::packs
