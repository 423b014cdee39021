// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "base/fuzzing.h"
#include "base/text.h"

namespace millrace::fuzz {
namespace {

constexpr int kDeepest = 24;
constexpr size_t kLongest = 4096;

}  // namespace

uint8_t Reader::byte() {
  if (rest_.empty()) return 0;
  auto first = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return first;
}

int64_t Reader::number() {
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
  return static_cast<int64_t>(bits);
}

std::string_view Reader::text(size_t most) {
  size_t size = byte() % (most + 1);
  auto taken = rest_.substr(0, size);
  rest_.remove_prefix(taken.size());
  return taken;
}

std::string_view Reader::line() {
  auto taken = rest_.substr(0, rest_.find('\n'));
  rest_.remove_prefix(std::min(taken.size() + 1, rest_.size()));
  return taken;
}

Grammar::Grammar(std::string_view rules) {
  auto lines = split(rules, '\n');
  for (auto line : lines) {
    if (line.empty() || line.starts_with("  ")) continue;
    bool is_new = numbers_.emplace(line, static_cast<int>(numbers_.size())).second;
    ASSERT_MSG(is_new, "a rule stands twice: " + std::string(line));
  }
  for (auto line : lines) {
    if (line.empty()) continue;
    if (!line.starts_with("  ")) {
      rules_.emplace_back();
      continue;
    }
    line.remove_prefix(2);
    Alternative pieces(1);
    while (!line.empty()) {
      auto end = line.starts_with('<') ? line.find('>') : line.npos;
      auto name = end == line.npos ? std::string_view() : line.substr(1, end - 1);
      auto known = numbers_.find(name);
      if (name == "any" || known != numbers_.end()) {
        pieces.back().rule = name == "any" ? kAny : known->second;
        pieces.emplace_back();
        line.remove_prefix(end + 1);
      } else if (line.starts_with("\\n")) {
        pieces.back().literal += '\n';
        line.remove_prefix(2);
      } else {
        pieces.back().literal += line.front();
        line.remove_prefix(1);
      }
    }
    rules_.back().push_back(std::move(pieces));
  }
}

std::string Grammar::text(Reader& choices, std::string_view rule) const {
  auto known = numbers_.find(rule);
  ASSERT_MSG(known != numbers_.end(), "no rule " + std::string(rule));
  std::string out;
  append(out, choices, known->second, 0);
  return out;
}

void Grammar::append(std::string& out, Reader& choices, int rule, int depth) const {
  const auto& alternatives = rules_[static_cast<size_t>(rule)];
  bool ends = choices.empty() || depth > kDeepest || out.size() > kLongest;
  for (const auto& piece : alternatives[ends ? 0 : choices.below(alternatives.size())]) {
    out += piece.literal;
    if (piece.rule == kAny) out += choices.text();
    if (piece.rule >= 0) append(out, choices, piece.rule, depth + 1);
  }
}

}  // namespace millrace::fuzz
