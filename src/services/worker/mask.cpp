// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mask.h"

#include <algorithm>

namespace millrace::worker {

SecretSet::SecretSet(std::vector<std::string> secrets) {
  for (uint32_t index = 0; index < secrets.size(); ++index) {
    std::string& text = secrets[index];
    if (text.size() < kShortestSecret) continue;
    first_[static_cast<unsigned char>(text[0])] = true;
    longest_ = std::max(longest_, text.size());
    secrets_.push_back({std::move(text), index});
  }
}

std::optional<SecretSet::Match> SecretSet::match_at(std::string_view text) const {
  std::optional<Match> longest;
  for (const auto& secret : secrets_) {
    bool longer = !longest || secret.text.size() > longest->length;
    if (longer && text.starts_with(secret.text)) longest = {secret.text.size(), secret.index};
  }
  return longest;
}

bool SecretSet::may_begin_with(std::string_view text) const {
  return std::any_of(secrets_.begin(), secrets_.end(), [&](const Secret& secret) {
    return secret.text.size() > text.size() && secret.text.starts_with(text);
  });
}

std::string_view Masker::feed(std::string_view piece) {
  if (secrets_->empty()) return piece;
  held_ += piece;
  scan(safe_end());
  return out_;
}

std::string_view Masker::finish() {
  scan(held_.size());
  return out_;
}

// Before this position no secret can begin that is not yet wholly there.
size_t Masker::safe_end() const {
  size_t size = held_.size();
  for (size_t at = size - std::min(size, secrets_->longest() - 1); at < size; ++at) {
    if (secrets_->starts_with(static_cast<unsigned char>(held_[at])) &&
        secrets_->may_begin_with(std::string_view(held_).substr(at))) {
      return at;
    }
  }
  return size;
}

// Decides held_[0, safe_end) into out_ and keeps the rest.
void Masker::scan(size_t safe_end) {
  given_ += static_cast<int64_t>(out_.size());
  out_.clear();
  for (size_t at = 0; at < safe_end; ++at) {
    std::optional<SecretSet::Match> match;
    if (secrets_->starts_with(static_cast<unsigned char>(held_[at]))) {
      match = secrets_->match_at(std::string_view(held_).substr(at));
    }
    if (match) covered_ = std::max(covered_, at + match->length);
    if (at >= covered_) {
      out_ += held_[at];
    } else if (!masking_) {
      mask_at_ = given_ + static_cast<int64_t>(out_.size());
      hides_ = 0;
      out_ += kMask;
    }
    masking_ = at < covered_;
    if (match) note_hidden(match->index);
    if (masking_) ++hides_;
  }
  covered_ -= std::min(covered_, safe_end);
  held_.erase(0, safe_end);
}

// Of a mask that there is no room for all of nothing is noted.
void Masker::note_hidden(uint32_t secret) {
  if (hidden_is_full_) return;
  hidden_is_full_ = hidden_.size() >= kMostHidden;
  if (hidden_is_full_) {
    std::erase_if(hidden_, [&](const auto& one) { return one.mask == mask_at_; });
  } else {
    hidden_.push_back({mask_at_, hides_, secret});
  }
}

std::string masked(const SecretSet& secrets, std::string_view text) {
  // Not an owner: the masker ends before this call does.
  Masker masker(std::shared_ptr<const SecretSet>(std::shared_ptr<const void>(), &secrets));
  std::string out(masker.feed(text));
  out += masker.finish();
  return out;
}

}  // namespace millrace::worker
