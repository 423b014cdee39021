// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/pack_users.h"

#include <fmt/format.h>

#include <set>

namespace millrace::engine {
namespace {

// A workflow has `tasks` by name with an `action` each, an action chain a list with `ref`s.
std::set<std::string_view> actions_of(const Value& workflow) {
  std::set<std::string_view> refs;
  auto add = [&](const Value& task) {
    for (std::string_view key : {"action", "ref"}) {
      const Value& ref = task[key];
      if (ref.is_string()) refs.insert(ref.as_string());
    }
  };
  for (std::string_view key : {"tasks", "chain"}) {
    const Value& tasks = workflow[key];
    if (tasks.is_map()) {
      for (const auto& task : tasks.as_map()) add(task.value);
    } else if (tasks.is_list()) {
      for (const Value& task : tasks.as_list()) add(task);
    }
  }
  return refs;
}

}  // namespace

std::vector<Problem> users_of(const TenantCatalog& catalog, std::string_view pack,
                              const std::function<bool(std::string_view ref)>& counts) {
  std::vector<Problem> users;
  auto add = [&](std::string who, std::string_view ref) {
    if (counts(ref)) users.push_back({std::move(who), fmt::format("uses '{}'", ref)});
  };
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->row.pack == pack) continue;
    for (const auto& used : {entry->spec.action, entry->spec.trigger}) add("rule " + ref, used);
  }
  for (const auto& [name, webhook] : catalog.webhooks()) {
    add("webhook endpoint " + name, webhook.trigger);
  }
  for (const auto& other : catalog.packs()) {
    if (other->ref == pack) continue;
    for (const auto& action : other->actions) {
      if (!action.workflow) continue;
      for (auto ref : actions_of(action.workflow->value)) add("workflow " + action.ref, ref);
    }
  }
  return users;
}

}  // namespace millrace::engine
