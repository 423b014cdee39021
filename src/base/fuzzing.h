// SPDX-License-Identifier: Apache-2.0
// What fuzz targets share. A target is a file NAME_fuzz.cpp beside what it tries:
//
//   FUZZ(json) {                                  // std::string_view input
//     auto value = parse_json(input);
//     if (!value.ok()) return;
//     fuzz::plant(value->is_list());              // see below
//     ASSERT(parse_json(to_json(*value)).ok());   // what must hold, whatever the input
//   }
//
// All targets are one binary (tests/fuzz), which looks for its own name: build/fuzz/json_fuzz. It
// ends at the first input that takes longer than a second of CPU. Not part of the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace::fuzz {

// In a run of `./dev fuzz --planted` each target has a fault that it must find, or nobody would
// know whether it looks at anything: a condition that only structure reaches (`plant`), or a wrong
// result that the target's own check has to notice (`if (fuzz::planted()) ...`).
bool planted();
inline void plant(bool reached) { ASSERT_MSG(!reached || !planted(), "a planted fault"); }

// Takes decisions out of the bytes of an input. When they are used up all answers are 0 or empty.
class Reader {
 public:
  explicit Reader(std::string_view input) : rest_(input) {}
  bool empty() const { return rest_.empty(); }
  uint8_t byte();
  bool flag() { return (byte() & 1) != 0; }
  size_t below(size_t count) { return count == 0 ? 0 : byte() % count; }
  int64_t number();                          // any 64 bits
  std::string_view text(size_t most = 255);  // a byte says how long it is
  std::string_view line();                   // up to the next line end, which is skipped
  std::string_view rest() { return std::exchange(rest_, {}); }
  template <typename List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }

 private:
  std::string_view rest_;
};

// Makes texts that parsers do not refuse at once. A rule is a name at the start of a line; each
// line below it that is indented by two spaces is one of its alternatives; <name> in one of these
// stands for that rule, <any> for bytes of the input. `\n` is a line end. The first alternative is
// taken when the input is used up or the text grows too deep: it must come to an end.
//
//   list
//     []
//     [<list>, <list>]
class Grammar {
 public:
  explicit Grammar(std::string_view rules);
  std::string text(Reader& choices, std::string_view rule) const;

 private:
  struct Piece {
    std::string literal;
    int rule = -1;  // after the literal: a rule, or kNone, or kAny
  };
  using Alternative = std::vector<Piece>;
  static constexpr int kNone = -1;
  static constexpr int kAny = -2;
  void append(std::string& out, Reader& choices, int rule, int depth) const;

  std::map<std::string, int, std::less<>> numbers_;
  std::vector<std::vector<Alternative>> rules_;
};

using Target = void (*)(std::string_view input);
struct Registration {
  Registration(const char* name, Target target);
};

}  // namespace millrace::fuzz

// The body of the target NAME follows.
#define FUZZ(NAME)                                                                      \
  static void NAME##_target(std::string_view input);                                    \
  static const ::millrace::fuzz::Registration NAME##_registered(#NAME, &NAME##_target); \
  static void NAME##_target(std::string_view input)
