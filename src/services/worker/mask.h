// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::worker {

// What stands in the output in place of a secret, whatever its length.
inline constexpr std::string_view kMask = "********";
// Shorter secrets are not masked: "1" or "yes" would blot out ordinary text and thereby tell
// the secret.
inline constexpr size_t kShortestSecret = 4;

// The secrets of one run, ready for matching. Immutable.
class SecretSet {
 public:
  explicit SecretSet(std::vector<std::string> secrets);

  bool empty() const { return secrets_.empty(); }
  // The length of the longest secret that `text` begins with, or 0.
  size_t match_at(std::string_view text) const;
  // True when a secret begins with the whole of `text` and is longer.
  bool may_begin_with(std::string_view text) const;
  bool starts_with(unsigned char c) const { return first_[c]; }
  size_t longest() const { return longest_; }

 private:
  std::vector<std::string> secrets_;
  std::array<bool, 256> first_{};
  size_t longest_ = 0;
};

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

 private:
  void scan(size_t safe_end);
  size_t safe_end() const;

  std::shared_ptr<const SecretSet> secrets_;
  std::string held_;      // raw bytes not yet decided
  size_t covered_ = 0;    // the first bytes of `held_` that belong to a secret found before
  bool masking_ = false;  // the last decided byte was hidden
  std::string out_;
};

}  // namespace millrace::worker
