// SPDX-License-Identifier: Apache-2.0
// The first line is a JSON payload, the rest the YAML of criteria: whatever they are, a rule that
// compiles must be found by the index exactly when trying it alone says that it matches.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/yaml.h"
#include "rules/index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t end = std::min(text.find('\n'), text.size());
  auto payload = parse_json(text.substr(0, end));
  auto criteria = parse_yaml(text.substr(end), "f");
  if (!payload || !criteria) return 0;
  static expr::Engine engine;
  RuleSpec spec{.ref = "f.rule", .trigger = "f.t", .criteria = criteria->value};
  auto rule = rules::compile(spec, RuleId(1), 1, engine);
  if (!rule) return 0;
  rules::EventScope scope{.event = rules::event_value(EventId(1), "f.t", 0, *payload, {})};
  scope.now_ms = 1'800'000'000'000;
  auto matched = rules::RuleIndex({*rule}).match(scope, engine);
  auto explained = rules::explain(**rule, scope, engine);
  ASSERT(matched.ok() == explained.ok());
  ASSERT(!matched || matched->empty() != explained->matches);
  return 0;
}
