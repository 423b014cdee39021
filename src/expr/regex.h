// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "expr/item.h"

namespace re2 {
class RE2;
}

// Regular expressions in Python's spelling, matched in linear time by RE2. Look-around and back
// references are refused (EXP-0010).
namespace millrace::expr {

struct RegexFlags {
  bool ignore_case = false;
  bool multi_line = false;
  bool dot_all = false;
  auto operator<=>(const RegexFlags&) const = default;
};

// One match: byte ranges of the whole and of the groups; a group that took no part has none.
struct Match {
  std::vector<std::optional<std::pair<size_t, size_t>>> groups;
  size_t begin() const { return groups[0]->first; }
  size_t end() const { return groups[0]->second; }
};

class Regex {
 public:
  // Costs steps before, as compiling is slow.
  static Result<std::shared_ptr<const Regex>> compile(Meter& meter, std::string_view pattern,
                                                      RegexFlags flags);
  ~Regex();

  // re.search and re.match of Python. Costs steps before: the text times the pattern.
  Result<std::optional<Match>> search(Meter& meter, std::string_view text,
                                      bool at_start = false) const;
  size_t group_count() const { return groups_; }
  uint64_t places() const { return places_; }  // see base/regex_cost.h
  uint64_t compile_steps() const;
  const std::vector<std::pair<std::string, int>>& group_names() const { return names_; }
  const std::string& pattern() const { return pattern_; }

  // Python's re.sub with a template (`\1`, `\g<name>`); `count` 0 replaces all.
  Result<std::string> replace(Meter& meter, std::string_view text, std::string_view replacement,
                              int64_t count) const;

 private:
  Regex() = default;
  friend class MatchCursor;
  std::optional<Match> find_from(std::string_view text, size_t start, bool at_start) const;
  std::optional<Match> find(std::string_view text, size_t start, bool at_start) const;
  std::unique_ptr<re2::RE2> re_;
  std::string pattern_;
  size_t groups_ = 0;
  uint64_t places_ = 1;
  std::vector<std::pair<std::string, int>> names_;
  bool dollar_ = false;  // `$` that may match before a last line end
};

// All matches from left to right, none of them overlapping, as re.finditer.
class MatchCursor {
 public:
  MatchCursor(const Regex& regex, std::string_view text) : regex_(regex), text_(text) {}
  Result<std::optional<Match>> next(Meter& meter);

 private:
  Result<void> charge(Meter& meter, const Match* match) const;
  const Regex& regex_;
  std::string_view text_;
  size_t at_ = 0;
  std::optional<size_t> last_end_;
  bool begun_ = false;
};

// Compiled patterns of one engine, bounded in number.
class RegexCache {
 public:
  // A pattern that is not there yet costs the steps of compiling it.
  Result<std::shared_ptr<const Regex>> get(Meter& meter, std::string_view pattern,
                                           RegexFlags flags);

 private:
  static constexpr size_t kMaxEntries = 256;
  std::unordered_map<std::string, std::shared_ptr<const Regex>, StringHash> entries_;
};

struct RegexObject : Object {
  explicit RegexObject(std::shared_ptr<const Regex> r)
      : Object(ObjectKind::Regex), regex(std::move(r)) {}
  std::shared_ptr<const Regex> regex;
};

}  // namespace millrace::expr
