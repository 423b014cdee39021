// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "packs/policy.h"
#include "packs/readers.h"

namespace millrace::packs {

// One policies/*.yaml. Actions are read before: what it is for is known, where it is of this pack.
void read_policy(Reading& reading, Section& section) {
  Pack& pack = reading.pack;
  std::string ref = read_ref(reading, section, "policy");
  std::vector<Problem> problems;
  PolicySpec spec = read_policy_value(section.node().value, pack.ref, problems);
  spec.ref = std::move(ref);
  section.errors(section.node(), problems, "");
  if (spec.ref.empty() || !problems.empty()) return;
  std::string_view of = spec.pack.empty() ? std::string_view(spec.action) : spec.pack;
  bool is_own = of.substr(0, of.find('.')) == pack.ref;
  const Action* action = pack.find_action(spec.action);
  if (is_own && !spec.action.empty() && !action) {
    std::vector<std::string_view> names;
    for (const auto& each : pack.actions) names.push_back(each.ref);
    // It may come with a later version, or have gone with this one.
    section.warning(section.node().line, fmt::format("unknown action '{}'{}", spec.action,
                                                     did_you_mean(spec.action, names)));
  }
  if (spec.pack == pack.ref) {
    section.warnings(section.node(), policy_problems(spec, pack), "");
  }
  if (action) section.errors(section.node(), policy_problems(spec, *action), "");
  pack.policies.push_back(std::move(spec));
}

}  // namespace millrace::packs
