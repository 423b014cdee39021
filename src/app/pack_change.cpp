// SPDX-License-Identifier: Apache-2.0
#include "app/pack_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/release_archive.h"
#include "app/staged_releases.h"
#include "base/json.h"
#include "engine/machine/pack_users.h"
#include "engine/transitions/rule_rows.h"
#include "net/content_coding.h"
#include "packs/archive.h"

namespace millrace::app {
namespace {

// All that the definition says, as one text.
std::string text_of(const std::vector<Parameter>& parameters) {
  std::string text;
  for (const auto& p : parameters) {
    text += fmt::format("\n{} {} {} {} {}{}{} {}", p.name, to_json(p.schema),
                        p.default_value ? to_json(*p.default_value) : "-", p.position.value_or(-1),
                        p.required, p.secret, p.immutable, p.description);
  }
  return text;
}

std::string_view file_of(const packs::PackFiles& files, const Action& action) {
  auto file = files.find("actions/" + action.entry_point);
  return file == files.end() ? std::string_view() : std::string_view(file->second);
}

std::string text_of(const Action& a, const packs::PackFiles& files) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}{} {} {}", a.description, a.runner_type,
                     a.runtime, a.entry_point, to_json(a.output_schema), a.timeout_ms,
                     static_cast<int>(a.effect_class), static_cast<int>(a.delivery),
                     static_cast<int>(a.parameter_format), static_cast<int>(a.output_format),
                     fmt::join(a.runs_on, ","), fmt::join(a.permissions, ","), a.enabled,
                     file_of(files, a), text_of(a.parameters));
}

// Each thing of a pack, as people call it, with all that it says.
using Things = std::map<std::string, std::string>;

Things things_of(const Pack& pack, const packs::PackFiles& files) {
  Things things;
  for (const auto& action : pack.actions) {
    things.emplace("action " + action.ref, text_of(action, files));
  }
  for (const auto& trigger : pack.triggers) {
    things.emplace("trigger " + trigger.ref,
                   fmt::format("{} {} {}", trigger.description, to_json(trigger.payload_schema),
                               text_of(trigger.parameters)));
  }
  for (const auto& rule : pack.rules) {
    things.emplace("rule " + rule.ref, to_json(engine::rule_to_value(rule)));
  }
  return things;
}

void find_broken(const engine::TenantCatalog& catalog, const Pack& before, const Pack& after,
                 std::vector<std::string>& breaks) {
  auto is_lost = [&](std::string_view ref) {
    return (before.find_action(ref) && !after.find_action(ref)) ||
           (before.find_trigger(ref) && !after.find_trigger(ref));
  };
  for (const auto& user : engine::users_of(catalog, before.ref, is_lost)) {
    breaks.push_back(user.path + " " + user.message);
  }
}

// Of `NAME`, `NAME=REF` and a URL the name that the pack most likely has.
std::string_view dependency_name(std::string_view text) {
  text = text.substr(0, text.find('='));
  if (text.ends_with(".git")) text.remove_suffix(4);
  auto slash = text.find_last_of("/:");
  if (slash != text.npos) text.remove_prefix(slash + 1);
  constexpr std::string_view kExchange = "stackstorm-";
  if (text.starts_with(kExchange)) text.remove_prefix(kExchange.size());
  return text;
}

}  // namespace

Result<FreshRelease> unpack(std::string archive) {
  auto tar = net::decode_content(std::move(archive), "gzip", agent::kLargestArchive);
  if (!tar.ok() && tar.error().kind() == ErrorKind::TooLarge) {
    return Error(ErrorKind::TooLarge, "PCK-0009",
                 fmt::format("the archive is larger than {} bytes when it is unpacked",
                             agent::kLargestArchive));
  }
  if (!tar.ok()) {
    return Error(ErrorKind::Invalid, "PCK-0008",
                 "the archive is no pack: it is no .tar.gz, or is damaged");
  }
  TRY(auto pack, packs::read_tar(*tar));
  return FreshRelease{.files = std::move(pack.files), .origin = {}, .name = std::move(pack.folder)};
}

api::PackChange compare(const std::string& data, const engine::TenantCatalog& catalog,
                        const Pack& after, const packs::PackFiles& files) {
  api::PackChange change{.ref = after.ref,
                         .outcome = "installed",
                         .version = after.version,
                         .digest = after.digest,
                         .actions = static_cast<int64_t>(after.actions.size()),
                         .triggers = static_cast<int64_t>(after.triggers.size()),
                         .rules = static_cast<int64_t>(after.rules.size()),
                         .faults = static_cast<int64_t>(after.faults.size())};
  for (const auto& fault : after.faults) {
    change.problems.push_back(fmt::format("{}: {}", fault.path, fault.message));
  }
  for (const auto& rule : after.waiting) {
    change.waiting.push_back(fmt::format("{}: {}", rule.path, rule.message));
  }
  for (const auto& dependency : after.dependencies) {
    if (!catalog.find_pack(dependency_name(dependency))) change.missing.push_back(dependency);
  }
  auto before = std::ranges::find(catalog.packs(), after.ref, [](auto& pack) { return pack->ref; });
  Things old;
  if (before != catalog.packs().end()) {
    const Pack& pack = **before;
    bool is_same = pack.digest == after.digest && pack.origin.is_installed();
    change.outcome = is_same ? "unchanged" : "upgraded";
    change.version_before = pack.version;
    change.digest_before = pack.digest;
    auto old_files = read_release(data, pack.ref, pack.digest);
    old = things_of(pack, old_files.ok() ? *old_files : packs::PackFiles());
    find_broken(catalog, pack, after, change.breaks);
  }
  Things now = things_of(after, files);
  for (const auto& [name, text] : now) {
    auto there = old.find(name);
    if (there == old.end()) {
      change.added.push_back(name);
    } else if (there->second != text) {
      change.changed.push_back(name);
    }
  }
  for (const auto& [name, text] : old) {
    if (!now.contains(name)) change.removed.push_back(name);
  }
  return change;
}

}  // namespace millrace::app
