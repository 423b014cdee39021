// SPDX-License-Identifier: Apache-2.0
#include "services/api/waiting_reason.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "model/labels.h"

namespace millrace::api {
namespace {

std::string counted(size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string named(const std::string& label) {
  if (!label.starts_with(kRuntimeLabel)) return "label " + label;
  return "runtime " + label.substr(kRuntimeLabel.size());
}

}  // namespace

std::string waiting_reason(std::string_view needs, const std::vector<kernel::WorkerRow>& workers) {
  std::vector<const kernel::WorkerRow*> open;
  for (const auto& worker : workers) {
    if (worker.session) open.push_back(&worker);
  }
  if (open.empty()) return "no worker has a session";
  size_t able = 0;
  int64_t slots = 0;
  for (const auto* worker : open) {
    if (!offers(split_labels(worker->labels), needs)) continue;
    ++able;
    slots += worker->slots;
  }
  if (able > 0) {
    return fmt::format("waits for a slot: {} of {} {}", counted(static_cast<size_t>(slots), "slot"),
                       counted(able, "worker"), slots == 1 ? "is taken" : "are taken");
  }
  std::vector<std::string> reasons;
  for (const auto& label : split_labels(needs)) {
    auto without = std::ranges::count_if(
        open, [&](const auto* worker) { return !offers(split_labels(worker->labels), label); });
    if (without == 0) continue;
    reasons.push_back(fmt::format("needs {}: {} {} not offer it", named(label),
                                  counted(static_cast<size_t>(without), "worker"),
                                  without == 1 ? "does" : "do"));
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

}  // namespace millrace::api
