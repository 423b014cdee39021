// SPDX-License-Identifier: Apache-2.0
#include "app/examination.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "app/staged_releases.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/stdout.h"
#include "store/migrate.h"
#include "store/read.h"

namespace millrace::app {
namespace {

// What the store needs of the data folder's staged releases.
Result<void> examine_packs(sql::Connection& reader, const PackStore& packs,
                           std::vector<store::Finding>& findings) {
  TRY(auto current, store::current_releases(reader));
  for (const auto& release : current.rows) {
    auto files = read_release(packs.data(), release.pack, release.digest);
    if (!files.ok() && files.error().kind() != ErrorKind::NotFound) {
      findings.push_back(
          {"store", store::Severity::Broken, "pack " + release.pack, files.error().message()});
    }
    if (release.state != kernel::PackState::SourceGone) continue;
    findings.push_back(
        {"store", store::Severity::Warning, "pack " + release.pack,
         fmt::format("its source is gone, its release {} goes on: give the folder back "
                     "(packs.folders), or `millrace pack uninstall {}`",
                     release.digest.substr(0, 12), release.pack)});
  }
  TRY(auto pinned, packs.load_pinned(reader, {}));
  for (const auto& release : pinned.missing) {
    bool is_told = std::ranges::any_of(
        findings, [&](const auto& told) { return told.message == release.why; });
    if (is_told) continue;
    findings.push_back(
        {"store", store::Severity::Broken, "pack " + release.pack,
         fmt::format("release {}, which {} open executions are pinned to, cannot be read ({}): "
                     "put {} back",
                     release.digest.substr(0, 12), release.executions, release.why,
                     packs.folder_of(release.pack, release.digest))});
  }
  return {};
}

// By the names of packs: what is in them is known to the server alone.
Result<void> examine_rules(sql::Connection& reader, std::vector<store::Finding>& findings) {
  std::set<std::pair<int64_t, std::string>> packs;
  TRY(auto current, store::current_releases(reader));
  for (const auto& release : current.rows) packs.emplace(release.tenant.value, release.pack);
  if (packs.empty()) return {};  // it was never up
  TRY(auto rules, store::rules_of_all_tenants(reader));
  for (const auto& rule : rules) {
    if (rule.deleted) continue;
    auto spec = parse_json(rule.spec_json, kOwnJson);
    if (!spec.ok()) continue;  // the store's own examination says so
    for (std::string_view what : {"action", "trigger"}) {
      auto ref = (*spec)[what].string_or("ref", "");
      std::string pack(ref.substr(0, ref.find('.')));
      if (pack.empty() || pack == "core" || packs.contains({rule.tenant.value, pack})) continue;
      findings.push_back({"store", store::Severity::Warning, "rule " + rule.ref,
                          fmt::format("is unresolved: it names the {} '{}', and there is no pack "
                                      "'{}'; it matches nothing until there is",
                                      what, ref, pack)});
    }
  }
  return {};
}

}  // namespace

Result<std::vector<store::Finding>> examine(sql::Connection& reader, const PackStore& packs,
                                            const RetentionSection& retention, int64_t now_ms) {
  TRY(auto findings,
      store::examine(reader, {.now_ms = now_ms,
                              .event_retention_ms = retention.events_days * kDayMs,
                              .execution_retention_ms = retention.executions_days * kDayMs}));
  TRY(int64_t schema, store::schema_version(reader));
  if (schema == store::newest_schema_version()) {
    TRY(examine_packs(reader, packs, findings));
    TRY(examine_rules(reader, findings));
  }
  return findings;
}

// What the server does not handle any more, because it ended with it in hand.
void examine_in_hand(const std::string& file, std::vector<store::Finding>& findings) {
  for (const auto& dead : InHand::dead_in(file)) {
    findings.push_back({"store", store::Severity::Warning, fmt::format("{} {}", dead.kind, dead.id),
                        fmt::format("is set aside: {} servers ended with it in hand; it is tried "
                                    "again when it changes, or with another version",
                                    dead.ends)});
  }
}

void tell_what_was_in_hand(const InHand& in_hand) {
  constexpr size_t kMostTold = 10;
  const auto& found = in_hand.found();
  for (const auto& left : std::span(found).first(std::min(found.size(), kMostTold))) {
    log_warn("server.ended_in_hand",
             {{"kind", left.kind}, {"id", left.id}, {"ends", left.ends}, {"of", found.size()}});
  }
  for (const auto& dead : in_hand.dead()) {
    log_error("server.set_aside", {{"kind", dead.kind}, {"id", dead.id}, {"ends", dead.ends}});
  }
}

bool print_findings(const std::vector<store::Finding>& findings) {
  bool broken = false;
  for (const auto& finding : findings) {
    broken |= finding.severity == store::Severity::Broken;
    cli::put("{} {}{}{}: {}\n", finding.promise, store::to_string(finding.severity),
             finding.entity.empty() ? "" : " ", finding.entity, finding.message);
  }
  cli::put("doctor: {} findings\n", findings.size());
  return broken;
}

}  // namespace millrace::app
