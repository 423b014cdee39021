// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/hidden.h"

namespace millrace::worker {

using kernel::kMask;
using kernel::kShortestSecret;

// The secrets of one run, ready for matching. Immutable.
class SecretSet {
 public:
  explicit SecretSet(std::vector<std::string> secrets);

  bool empty() const { return secrets_.empty(); }
  // The longest secret that `text` begins with. `index`: its place in the list that was given.
  struct Match {
    size_t length = 0;
    uint32_t index = 0;
  };
  std::optional<Match> match_at(std::string_view text) const;
  // True when a secret begins with the whole of `text` and is longer.
  bool may_begin_with(std::string_view text) const;
  bool starts_with(unsigned char c) const { return first_[c]; }
  size_t longest() const { return longest_; }

 private:
  struct Secret {
    std::string text;
    uint32_t index;
  };
  std::vector<Secret> secrets_;
  std::array<bool, 256> first_{};
  size_t longest_ = 0;
};

// The text with every secret hidden.
std::string masked(const SecretSet& secrets, std::string_view text);

// Masks one stream that comes in pieces. Every byte that belongs to an occurrence of a secret is
// hidden, also where occurrences overlap; each unbroken stretch of such bytes becomes one kMask.
// The result does not depend on how the stream was cut: what may still become a secret (at most
// longest - 1 bytes) is held back until more comes, or `finish`.
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
  void scan(size_t safe_end);
  size_t safe_end() const;
  void note_hidden(uint32_t secret);

  std::shared_ptr<const SecretSet> secrets_;
  std::string held_;      // raw bytes not yet decided
  size_t covered_ = 0;    // the first bytes of `held_` that belong to a secret found before
  bool masking_ = false;  // the last decided byte was hidden
  std::string out_;
  int64_t given_ = 0;    // bytes of all `out_` before
  int64_t mask_at_ = 0;  // of the mask that stands last: its offset, and what it hides so far
  int64_t hides_ = 0;
  std::vector<kernel::Hidden> hidden_;
  bool hidden_is_full_ = false;
};

}  // namespace millrace::worker
