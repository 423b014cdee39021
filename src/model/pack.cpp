// SPDX-License-Identifier: Apache-2.0
#include "model/pack.h"

#include "base/json.h"

namespace millrace {

std::string PackOrigin::source_json() const {
  if (!is_installed()) return {};
  Value source = Value::map({{"kind", kind}, {"from", from}});
  if (!ref.empty()) source.set("ref", ref);
  if (!commit.empty()) source.set("commit", commit);
  return to_json(source);
}

PackOrigin PackOrigin::of(std::string_view source_json, std::string installer) {
  if (source_json.empty()) return {};
  PackOrigin origin{.kind = "archive", .from = {}, .installer = std::move(installer)};
  auto source = parse_json(source_json, kOwnJson);
  if (!source.ok()) return origin;  // it was installed, whatever else it says
  origin.kind = source->string_or("kind", origin.kind);
  origin.from = source->string_or("from", "");
  origin.ref = source->string_or("ref", "");
  origin.commit = source->string_or("commit", "");
  return origin;
}

const Action* Pack::find_action(std::string_view action_ref) const {
  for (const auto& action : actions) {
    if (action.ref == action_ref) return &action;
  }
  return nullptr;
}

const Trigger* Pack::find_trigger(std::string_view trigger_ref) const {
  for (const auto& trigger : triggers) {
    if (trigger.ref == trigger_ref) return &trigger;
  }
  return nullptr;
}

}  // namespace millrace
