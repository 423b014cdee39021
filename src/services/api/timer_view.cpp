// SPDX-License-Identifier: Apache-2.0
#include "services/api/timer_view.h"

#include <fmt/format.h>

#include <map>

#include "auth/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "rules/schedule.h"

namespace millrace::api {

std::vector<TimerUse> timers_of(const engine::TenantCatalog& catalog, TenantId tenant) {
  std::map<std::string_view, TimerUse> timers;
  for (const auto& [ref, entry] : catalog.rules()) {
    if (entry->schedule.empty() || entry->row.tenant != tenant) continue;
    auto& timer = timers[entry->schedule];
    timer.schedule = entry->schedule;
    timer.spec = &entry->spec;
    timer.rules.push_back(ref);
    timer.is_enabled |= entry->compiled && entry->spec.enabled;
  }
  std::vector<TimerUse> out;
  for (auto& [name, timer] : timers) out.push_back(std::move(timer));
  return out;
}

std::string timer_name(std::string_view schedule) {
  return hex_encode(auth::bytes_of(auth::sha256(schedule)).substr(0, 5));
}

std::string timer_words(const RuleSpec& spec) {
  const Value& given = spec.trigger_parameters;
  std::string words;
  for (std::string_view name : {"expression", "rrule", "fire_at", "date"}) {
    if (given[name].is_string()) words = given[name].as_string();
  }
  for (std::string_view name : {"interval", "delta"}) {
    if (!given[name].is_int()) continue;
    auto unit = given.string_or("unit", "");
    int64_t count = given[name].as_int();
    if (count == 1 && unit.ends_with('s')) unit.remove_suffix(1);
    words = count == 1 ? fmt::format("every {}", unit) : fmt::format("every {} {}", count, unit);
  }
  if (words.empty() && given.is_map()) {  // fields of StackStorm's cron
    for (const auto& [key, value] : given.as_map()) {
      if (key.as_string() == "timezone" || key.as_string() == "catch_up" || value.is_null())
        continue;
      words += fmt::format("{}{}={}", words.empty() ? "" : " ", key.as_string(),
                           value.is_string() ? std::string(value.as_string()) : to_json(value));
    }
  }
  auto zone = given.string_or("timezone", "");
  if (!zone.empty()) words += fmt::format(" {}", zone);
  return words;
}

std::vector<std::string> next_fires_of(const RuleSpec& spec, int64_t now_ms,
                                       std::optional<int64_t> due) {
  std::vector<std::string> texts;
  if (!rules::is_timer(spec.trigger)) return texts;
  auto schedule = rules::parse_schedule(spec.trigger, spec.trigger_parameters);
  if (!schedule.ok()) return texts;  // a rule that is out of force has none
  std::vector<int64_t> times;
  if (due) times.push_back(*due);
  for (int64_t at : rules::next_fires(*schedule, due.value_or(now_ms), kNextFires - times.size())) {
    times.push_back(at);
  }
  for (int64_t at : times) texts.push_back(to_rfc3339(at));
  return texts;
}

}  // namespace millrace::api
