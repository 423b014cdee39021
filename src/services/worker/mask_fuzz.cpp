// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mask.h"

#include "base/fuzzing.h"

namespace millrace::worker {
namespace {

std::string masked(const std::shared_ptr<const SecretSet>& secrets, std::string_view text,
                   fuzz::Reader cuts) {
  Masker masker(secrets);
  std::string out;
  while (!text.empty()) {
    size_t piece = cuts.empty() ? text.size() : std::min<size_t>(cuts.byte() % 8 + 1, text.size());
    out += masker.feed(text.substr(0, piece));
    text.remove_prefix(piece);
  }
  return out += masker.finish();
}

// Three secrets, the cuts, then what a run prints: no secret is left in it, and where it was cut
// makes no difference.
FUZZ(mask) {
  fuzz::Reader in(input);
  std::vector<std::string> secrets;
  for (int i = 0; i < 3; ++i) secrets.emplace_back(in.text(24));
  auto cuts = in.text(64);
  auto text = in.rest();
  auto set = std::make_shared<const SecretSet>(secrets);
  std::string whole = masked(set, text, fuzz::Reader(""));
  std::string cut = masked(set, text, fuzz::Reader(cuts));
  fuzz::plant(whole.find(kMask) > 0 && whole.find(kMask) != whole.rfind(kMask));
  ASSERT(whole == cut);
  // Stretch by stretch: a mask may stand beside text that makes a secret of it.
  for (size_t at = 0; at < whole.size();) {
    size_t end = std::min(whole.find(kMask, at), whole.size());
    std::string_view plain = std::string_view(whole).substr(at, end - at);
    for (const auto& secret : secrets) {
      bool counts = secret.size() >= kShortestSecret && !secret.contains('*');
      ASSERT(!counts || !plain.contains(secret));
    }
    at = end + kMask.size();
  }
}

}  // namespace
}  // namespace millrace::worker
