// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/policies.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "packs/policy.h"

namespace millrace::engine {

namespace {

Result<PolicySpec> stored_spec(const kernel::PolicyRow& row) {
  TRY(Value stored, parse_json(row.spec_json, kOwnJson));
  std::vector<Problem> problems;
  PolicySpec spec = packs::read_policy_value(stored, {}, problems);
  spec.ref = row.ref;
  spec.enabled = row.enabled;
  if (problems.empty()) return spec;
  return Error(ErrorKind::Internal, "POL-0104", problems.front().message);
}

std::string_view pack_part(std::string_view ref) { return ref.substr(0, ref.find('.')); }

}  // namespace

PolicyBook::PolicyBook(const std::vector<std::shared_ptr<const Pack>>& packs, const Rows& rows) {
  for (const auto& pack : packs) {
    for (const auto& spec : pack->policies) all_[spec.ref] = {spec, {}, pack->ref};
  }
  for (const auto& [ref, row] : rows) {
    auto spec = stored_spec(row);
    if (!spec.ok()) {
      log_error("policy.not_read", {{"policy", ref}, {"error", spec.error().describe()}});
      continue;
    }
    auto& entry = all_[ref];
    entry.spec = *std::move(spec);
    entry.row = row;
  }
  for (const auto& [ref, entry] : all_) {
    if (!entry.spec.enabled) continue;
    auto& of =
        entry.spec.pack.empty() ? of_actions_[entry.spec.action] : of_packs_[entry.spec.pack];
    of.push_back(&entry);
  }
}

std::vector<const PolicyEntry*> PolicyBook::of(std::string_view action) const {
  if (all_.empty()) return {};
  std::vector<const PolicyEntry*> found;
  auto add = [&](const ByName& by, std::string_view name) {
    auto at = by.find(name);
    if (at != by.end()) found.insert(found.end(), at->second.begin(), at->second.end());
  };
  add(of_actions_, action);
  add(of_packs_, pack_part(action));
  return found;
}

const PolicyEntry* PolicyBook::retry_of(std::string_view action) const {
  for (const auto* entry : of(action)) {
    if (entry->spec.retry) return entry;
  }
  return nullptr;
}

const PolicyEntry* PolicyBook::find(std::string_view ref) const {
  auto found = all_.find(ref);
  return found == all_.end() ? nullptr : &found->second;
}

std::vector<std::string> contradictions(const PolicyBook& book, const PolicySpec& spec) {
  std::vector<std::string> told;
  if (!spec.enabled) return told;
  for (const auto& [ref, other] : book.all()) {
    if (ref == spec.ref || !other.spec.enabled) continue;
    bool same_action = !spec.action.empty() && other.spec.action == spec.action;
    bool same_pack = !spec.pack.empty() && other.spec.pack == spec.pack;
    bool under_it = !spec.action.empty() && other.spec.pack == pack_part(spec.action);
    bool above_it = !spec.pack.empty() && pack_part(other.spec.action) == spec.pack;
    if (!same_action && !same_pack && !under_it && !above_it) continue;
    if (spec.retry && other.spec.retry) {
      bool wins = under_it || (!above_it && spec.ref < ref);
      told.push_back(fmt::format(
          "policy '{}' says how '{}' is retried, too: that of '{}' holds", ref,
          other.spec.action.empty() ? other.spec.pack : other.spec.action, wins ? spec.ref : ref));
    }
    if (spec.concurrency && other.spec.concurrency &&
        spec.concurrency->then != other.spec.concurrency->then) {
      told.push_back(
          fmt::format("policy '{}' limits the same runs and does otherwise when it is "
                      "full: both hold, and who is canceled by one waits for none",
                      ref));
    }
  }
  return told;
}

}  // namespace millrace::engine
