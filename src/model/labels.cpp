// SPDX-License-Identifier: Apache-2.0
#include "model/labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.h"

namespace millrace {

Result<void> check_label(std::string_view label) {
  constexpr std::string_view kSigns = "._-/=:";
  auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kSigns.find(c) != kSigns.npos;
  };
  bool ok = !label.empty() && label.size() <= kLongestLabel && std::ranges::all_of(label, fits);
  if (ok) return {};
  return Error(ErrorKind::Invalid, "EXE-0029",
               fmt::format("label '{}': expected 1 to {} letters, digits and {}",
                           label.substr(0, kLongestLabel), kLongestLabel, kSigns));
}

std::string join_labels(std::vector<std::string> labels) {
  std::ranges::sort(labels);
  auto repeated = std::ranges::unique(labels);
  labels.erase(repeated.begin(), repeated.end());
  return fmt::format("{}", fmt::join(labels, ","));
}

std::vector<std::string> split_labels(std::string_view joined) {
  std::vector<std::string> labels;
  if (joined.empty()) return labels;
  for (std::string_view label : split(joined, ',')) labels.emplace_back(label);
  return labels;
}

std::vector<std::string> missing_labels(std::string_view needs,
                                        std::span<const std::string> offered) {
  auto labels = split_labels(needs);
  std::erase_if(labels, [&](const std::string& label) {
    return std::ranges::find(offered, label) != offered.end();
  });
  return labels;
}

bool offers(std::span<const std::string> offered, std::string_view needs) {
  return needs.empty() || missing_labels(needs, offered).empty();
}

}  // namespace millrace
