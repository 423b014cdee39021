// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "rules/rrule.h"

namespace millrace::rules {
namespace {

constexpr std::string_view kRruleZones[] = {"UTC", "Europe/Berlin", "America/New_York",
                                            "Australia/Lord_Howe", "Pacific/Apia"};

// Two bytes of zone and place, eight of a moment until 2400, then the rule. Firings rise, and what
// fires after a moment is what fires after each moment until then.
FUZZ(rrule) {
  fuzz::Reader in(input);
  auto zone = Zone::find(in.one_of(kRruleZones));
  ASSERT(zone.ok());
  uint8_t part = in.byte();
  int64_t after = in.number() % 13'570'000'000;
  auto text = in.rest();
  auto rule = Rrule::parse(text, *zone);
  if (!rule.ok()) {
    ASSERT(rule.error().code() == "RUL-0008" || rule.error().code() == "RUL-0004");
    return;
  }
  fuzz::plant(text.contains(";INTERVAL=2"));
  auto next = rule->next(after);
  if (!next) return;
  ASSERT(*next > after);
  int64_t between = after + (*next - after - 1) * part / 255;
  ASSERT(rule->next(between) == next);
  if (auto second = rule->next(*next)) ASSERT(*second > *next);
}

}  // namespace
}  // namespace millrace::rules
