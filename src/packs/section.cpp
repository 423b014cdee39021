// SPDX-License-Identifier: Apache-2.0
#include "packs/section.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace millrace::packs {

Section::Section(const YamlNode& node, std::string file, Findings& findings)
    : node_(node), file_(std::move(file)), findings_(findings) {}

std::string Section::described(std::string_view message) const {
  return what_.empty() ? std::string(message) : fmt::format("{}: {}", what_, message);
}

void Section::error(int line, std::string_view message) {
  findings_.errors.push_back({fmt::format("{}:{}", file_, line), described(message)});
}

void Section::warning(int line, std::string_view message) {
  findings_.warnings.push_back({fmt::format("{}:{}", file_, line), described(message)});
}

void Section::errors(const YamlNode& at, const std::vector<Problem>& problems,
                     std::string_view prefix) {
  add(findings_.errors, at, problems, prefix);
}

void Section::warnings(const YamlNode& at, const std::vector<Problem>& problems,
                       std::string_view prefix) {
  add(findings_.warnings, at, problems, prefix);
}

void Section::add(std::vector<Problem>& to, const YamlNode& at,
                  const std::vector<Problem>& problems, std::string_view prefix) const {
  for (const Problem& problem : problems) {
    std::string where = prefix.empty() ? "" : fmt::format("{}: ", prefix);
    std::string_view inside = problem.path;
    if (!inside.empty()) where += fmt::format("{}: ", inside.substr(1));
    to.push_back({fmt::format("{}:{}", file_, at.line_of(problem.path)),
                  described(where + problem.message)});
  }
}

void Section::expected(const YamlNode& found, std::string_view what) {
  std::string_view kind = found.value.type_name();
  bool is_scalar = !found.value.is_list() && !found.value.is_map();
  error(found, fmt::format("'{}': expected {}, found {}", found.key, what,
                           is_scalar ? fmt::format("'{}'", found.text) : std::string(kind)));
}

const YamlNode* Section::find(std::string_view key) {
  known_.emplace(key);
  const YamlNode* found = node_.find(key);
  return found && !found->value.is_null() ? found : nullptr;
}

const YamlNode* Section::find_any(std::initializer_list<std::string_view> keys) {
  const YamlNode* first = nullptr;
  for (std::string_view key : keys) {
    const YamlNode* found = find(key);
    if (!first) first = found;
  }
  return first;
}

std::string Section::text(std::string_view key, std::string_view fallback) {
  const YamlNode* found = find(key);
  if (!found) return std::string(fallback);
  if (found->value.is_list() || found->value.is_map()) {
    expected(*found, "a text");
    return std::string(fallback);
  }
  return found->text;
}

bool Section::flag(std::string_view key, bool fallback) {
  const YamlNode* found = find(key);
  if (!found) return fallback;
  if (found->value.is_bool()) return found->value.as_bool();
  expected(*found, "true or false");
  return fallback;
}

std::optional<int64_t> Section::number(std::string_view key, int64_t least) {
  const YamlNode* found = find(key);
  if (!found) return std::nullopt;
  if (found->value.is_int() && found->value.as_int() >= least) return found->value.as_int();
  expected(*found, fmt::format("a whole number from {}", least));
  return std::nullopt;
}

std::vector<std::string> Section::texts(std::string_view key) {
  std::vector<std::string> out;
  const YamlNode* found = find(key);
  if (!found) return out;
  if (!found->value.is_list()) {
    expected(*found, "a list of texts");
    return out;
  }
  for (const YamlNode& item : found->children) {
    if (item.children.empty() && !item.value.is_list() && !item.value.is_map()) {
      out.push_back(item.text);
    } else {
      error(item, fmt::format("'{}': expected a list of texts, found {} in it", key,
                              item.value.type_name()));
    }
  }
  return out;
}

Value Section::map(std::string_view key) {
  const YamlNode* found = find(key);
  if (!found) return Value();
  if (found->value.is_map()) return found->value;
  expected(*found, "a map");
  return Value();
}

std::optional<size_t> Section::choice(std::string_view key,
                                      std::initializer_list<std::string_view> names) {
  const YamlNode* found = find(key);
  if (!found) return std::nullopt;
  std::vector<std::string_view> all(names);
  auto chosen = std::ranges::find(all, found->text);
  if (chosen != all.end() && found->children.empty()) {
    return static_cast<size_t>(chosen - all.begin());
  }
  error(*found, fmt::format("'{}': expected one of {}, found '{}'{}", key, fmt::join(all, ", "),
                            found->text, did_you_mean(found->text, all)));
  return std::nullopt;
}

void Section::ignore(std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) known_.emplace(key);
}

void Section::not_supported(std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    if (const YamlNode* found = find(key)) {
      warning(found->line, fmt::format("'{}' is not supported yet and has no effect", key));
    }
  }
}

void Section::finish() {
  std::vector<std::string> known(known_.begin(), known_.end());
  for (const YamlNode& entry : node_.children) {
    if (known_.contains(entry.key)) continue;
    warning(entry.line,
            fmt::format("unknown key '{}'{}", entry.key, did_you_mean(entry.key, known)));
  }
}

}  // namespace millrace::packs
