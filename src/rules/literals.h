// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::rules {

// Many texts that are looked for at once in another one: the automaton of A. V. Aho and M. J.
// Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18(6), 1975. Its
// states are numbered breadth first, so that the children of each stand side by side: 17 bytes a
// state. Immutable.
class Literals {
 public:
  // A longer text is known by its beginning, so that one of a megabyte costs no more states. What
  // is found may be a little too much.
  static constexpr size_t kLongest = 128;
  struct Entry {
    std::string text;  // not empty
    uint32_t number;
  };

  Literals() = default;
  // `within`: for find_within(), not only for find_at_begin().
  Literals(std::vector<Entry> entries, bool within);

  bool empty() const { return numbers_.empty(); }
  size_t longest() const { return longest_; }
  // Adds the numbers of the texts that `text` begins with.
  void find_at_begin(std::string_view text, std::vector<uint32_t>& out) const;
  // Adds those of the texts that occur in `text`, however often.
  void find_within(std::string_view text, std::vector<uint32_t>& out) const;

 private:
  using State = uint32_t;  // 0: the root, which is nobody's child
  State child(State state, char c) const;
  void link();
  void add_numbers(State state, std::vector<uint32_t>& out) const {
    const auto& numbers = numbers_[text_[state] - 1];
    out.insert(out.end(), numbers.begin(), numbers.end());
  }

  std::vector<State> root_;  // by byte, the root's child; empty: it has few
  std::string label_;        // of each state, the byte that leads to it
  std::vector<State>
      children_;               // of each state the first child; they end where the next one's begin
  std::vector<State> parent_;  // only while it is made
  std::vector<State> fail_;    // the longest end of its text that is a state too
  std::vector<State> shorter_;  // the longest end of its text that is looked for; 0: none
  std::vector<uint32_t> text_;  // which text ends here, from 1; 0: none
  std::vector<std::vector<uint32_t>> numbers_;
  size_t longest_ = 0;
};

}  // namespace millrace::rules
