// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"

namespace millrace::packs {

// What was found wrong while a pack is read. Paths are `file:line`.
struct Findings {
  std::vector<Problem> errors;    // what costs its file; in pack.yaml perhaps the pack
  std::vector<Problem> warnings;  // what is wrong and costs nothing, or has no effect
};

// One map of a YAML file, read key by key. What is of the wrong kind is reported and counts as
// absent; finish() warns of the keys that nobody asked for.
class Section {
 public:
  // `what` begins every message: "action 'ci.build'"; it may be set later.
  Section(const YamlNode& node, std::string file, Findings& findings);

  void name(std::string what) { what_ = std::move(what); }
  const std::string& file() const { return file_; }
  const YamlNode& node() const { return node_; }
  Findings& findings() { return findings_; }

  // The entry, unless it is absent or null.
  const YamlNode* find(std::string_view key);
  // The entry at the first of these keys that is there: spellings of the same thing.
  const YamlNode* find_any(std::initializer_list<std::string_view> keys);
  // A scalar as written; so a version 1.10 stays "1.10".
  std::string text(std::string_view key, std::string_view fallback = {});
  bool flag(std::string_view key, bool fallback);
  std::optional<int64_t> number(std::string_view key, int64_t least);
  std::vector<std::string> texts(std::string_view key);
  // The value itself if it is a map; else null.
  Value map(std::string_view key);
  // The position of a text among `names`.
  std::optional<size_t> choice(std::string_view key, std::initializer_list<std::string_view> names);

  // Keys that are known and say nothing to us.
  void ignore(std::initializer_list<std::string_view> keys);
  // Keys that are known and would mean something, but have no effect yet: a warning for each.
  void not_supported(std::initializer_list<std::string_view> keys);
  void finish();

  void error(const YamlNode& at, std::string_view message) { error(at.line, message); }
  void error(int line, std::string_view message);
  // `problems` of a value that stands at `at`: their paths are JSON pointers into it.
  void errors(const YamlNode& at, const std::vector<Problem>& problems, std::string_view prefix);
  void warning(int line, std::string_view message);
  void warnings(const YamlNode& at, const std::vector<Problem>& problems, std::string_view prefix);

 private:
  std::string described(std::string_view message) const;
  void add(std::vector<Problem>& to, const YamlNode& at, const std::vector<Problem>& problems,
           std::string_view prefix) const;
  void expected(const YamlNode& found, std::string_view what);

  const YamlNode& node_;
  std::string file_;
  std::string what_;
  Findings& findings_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace millrace::packs
