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

constexpr size_t kMostNamed = 3;

std::string named(const std::vector<const kernel::WorkerRow*>& workers,
                  const std::map<int64_t, std::string>& servers) {
  std::vector<std::string> names;
  for (const auto* worker : workers) {
    if (names.size() == kMostNamed) {
      names.emplace_back("...");
      break;
    }
    names.push_back(fmt::format("{} at server {}", worker->name, servers.at(worker->home)));
  }
  return fmt::format(" ({})", fmt::join(names, ", "));
}

}  // namespace

std::string waiting_reason(std::string_view needs, const std::vector<kernel::WorkerRow>& workers,
                           const std::map<int64_t, std::string>& servers) {
  std::vector<const kernel::WorkerRow*> open;
  for (const auto& worker : workers) {
    bool is_reached = servers.empty() || servers.contains(worker.home);
    if (worker.session && is_reached) open.push_back(&worker);
  }
  if (open.empty()) return "no worker has a session";
  std::vector<const kernel::WorkerRow*> able;
  int64_t slots = 0;
  for (const auto* worker : open) {
    if (!offers(split_labels(worker->labels), needs)) continue;
    able.push_back(worker);
    slots += worker->slots;
  }
  if (!able.empty()) {
    return fmt::format("waits for a slot: {} of {} {}{}",
                       counted(static_cast<size_t>(slots), "slot"), counted(able.size(), "worker"),
                       slots == 1 ? "is taken" : "are taken",
                       servers.empty() ? std::string() : named(able, servers));
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
