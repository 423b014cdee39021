// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mask.h"

#include <algorithm>

namespace millrace::worker {

SecretSet::SecretSet(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {
  std::erase_if(secrets_, [](const std::string& s) { return s.size() < kShortestSecret; });
  for (const auto& secret : secrets_) {
    first_[static_cast<unsigned char>(secret[0])] = true;
    longest_ = std::max(longest_, secret.size());
  }
}

size_t SecretSet::match_at(std::string_view text) const {
  size_t longest = 0;
  for (const auto& secret : secrets_) {
    if (text.starts_with(secret)) longest = std::max(longest, secret.size());
  }
  return longest;
}

bool SecretSet::may_begin_with(std::string_view text) const {
  return std::any_of(secrets_.begin(), secrets_.end(), [&](const std::string& secret) {
    return secret.size() > text.size() && secret.starts_with(text);
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
  out_.clear();
  for (size_t at = 0; at < safe_end; ++at) {
    if (secrets_->starts_with(static_cast<unsigned char>(held_[at]))) {
      size_t length = secrets_->match_at(std::string_view(held_).substr(at));
      covered_ = std::max(covered_, at + length);
    }
    if (at >= covered_) {
      out_ += held_[at];
    } else if (!masking_) {
      out_ += kMask;
    }
    masking_ = at < covered_;
  }
  covered_ -= std::min(covered_, safe_end);
  held_.erase(0, safe_end);
}

}  // namespace millrace::worker
