// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/hidden.h"

namespace millrace::worker {

using kernel::kMask;
using kernel::kShortestSecret;

// What the secrets of a run may have together: a state of the automaton takes some 40 bytes.
inline constexpr size_t kMostSecretBytes = 256 << 10;

// The secrets of one run as an automaton that sees each byte once (Aho and Corasick, 1975): what it
// costs grows with the text, not with the secrets. Immutable.
class SecretSet {
 public:
  explicit SecretSet(std::vector<std::string> secrets);

  bool empty() const { return states_.size() == 1; }
  // A state stands for the longest end of the text so far that a secret begins with. 0 at first.
  using State = uint32_t;
  State next(State state, char byte) const;
  // The longest secret that ends here. `index`: its place in the list that was given.
  struct Match {
    size_t length = 0;
    uint32_t index = 0;
  };
  std::optional<Match> match(State state) const;
  // How many of the last bytes may be the beginning of a secret that goes on.
  size_t pending(State state) const { return states_[state].pending; }
  // True when the text as a whole is one of them.
  bool contains(std::string_view text) const;

 private:
  struct Node {
    State first_child = 0;  // the children stand together, in the order of their bytes
    uint16_t children = 0;
    unsigned char byte = 0;  // that leads here
    bool is_secret = false;
    uint32_t index = 0;
    uint32_t depth = 0;
    uint32_t pending = 0;
    State fail = 0;  // of the text without some of its first bytes
    State ends = 0;  // the nearest by `fail` that is a secret; 0: none
  };
  std::optional<State> child(State state, char byte) const;
  std::vector<Node> states_{1};
};

// The text with every secret hidden.
std::string masked(const SecretSet& secrets, std::string_view text);

// Masks one stream that comes in pieces. Every byte that belongs to an occurrence of a secret is
// hidden, also where occurrences overlap; each unbroken stretch of such bytes becomes one kMask.
// The result does not depend on how the stream was cut: what may still become a secret is held back
// until more comes, or `finish`.
class Masker {
 public:
  explicit Masker(std::shared_ptr<const SecretSet> secrets) : secrets_(std::move(secrets)) {}

  // What is now known to be safe. Valid until the next call, or as long as `piece`.
  std::string_view feed(std::string_view piece);
  std::string_view finish();
  // What has been hidden so far, at most kMostHidden; behind those masks stays what they are.
  static constexpr size_t kMostHidden = 10'000;
  std::vector<kernel::Hidden> take_hidden() { return std::move(hidden_); }

 private:
  // Bytes of the stream that an occurrence covers, and where their mask stands once it does.
  struct Covered {
    int64_t begin = 0;
    int64_t end = 0;
    std::optional<int64_t> mask;
  };
  struct Occurrence {
    int64_t begin = 0;
    uint32_t secret = 0;
    bool operator>(const Occurrence& other) const { return begin > other.begin; }
  };
  void cover(Occurrence occurrence, int64_t end);
  void decide(int64_t end);
  void note_hidden(const Covered& in, int64_t end);

  std::shared_ptr<const SecretSet> secrets_;
  SecretSet::State state_ = 0;
  std::string held_;     // raw bytes from `decided_` on
  int64_t seen_ = 0;     // bytes of the stream
  int64_t decided_ = 0;  // of these, that `out_` has told of
  std::deque<Covered> covered_;
  std::priority_queue<Occurrence, std::vector<Occurrence>, std::greater<>> found_;
  std::string out_;
  int64_t given_ = 0;  // bytes of all `out_` before
  std::vector<kernel::Hidden> hidden_;
  bool hidden_is_full_ = false;
};

}  // namespace millrace::worker
