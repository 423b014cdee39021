// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "rules/cron.h"

namespace millrace::rules {
namespace {

constexpr std::string_view kCronZones[] = {
    "UTC",          "Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe",
    "Pacific/Apia", "Africa/Casablanca", "America/Sao_Paulo", "Asia/Kolkata"};

// 1970 to 2400 and a little around.
int64_t moment(fuzz::Reader& in) { return in.number() % 13'570'000'000; }

// Firings rise, and what fires after a moment is what fires after each moment until then.
void check_firings(const Cron& cron, int64_t after, uint8_t part) {
  auto next = cron.next(after);
  if (!next) return;
  ASSERT(*next > after);
  int64_t between = after + (*next - after - 1) * part / 255;
  ASSERT(cron.next(between) == next);
  ASSERT(cron.next(*next - 1) == next);
  if (auto second = cron.next(*next)) ASSERT(*second > *next);
}

// Two bytes of zone and place, eight of the moment, then the expression.
FUZZ(cron) {
  fuzz::Reader in(input);
  auto zone = Zone::find(in.one_of(kCronZones));
  ASSERT(zone.ok());
  uint8_t part = in.byte();
  int64_t after = moment(in);
  auto text = in.rest();
  auto cron = Cron::parse(text, *zone);
  if (!cron.ok()) {
    ASSERT(cron.error().code() == "RUL-0005");
    return;
  }
  fuzz::plant(text.contains("feb") && text.contains('/') && text.contains('-'));
  check_firings(*cron, after, part);
}

constexpr std::string_view kFieldsGrammar = R"(fields
  {<field>}
  {<field>,<field>}
  {<field>,<field>,<field>}
field
  "second":<value>
  "minute":<value>
  "hour":<value>
  "day":<value>
  "day":"last"
  "week":<value>
  "day_of_week":<value>
  "month":<value>
  "year":<value>
value
  0
  <number>
  "<part>"
  "<part>,<part>"
part
  *
  <number>
  <number>-<number>
  <number>/<number>
  */<number>
  <number>-<number>/<number>
  mon
  sun
  jan-<name>
name
  mar
  dec
  fri
number
  0
  1
  2
  5
  7
  12
  23
  29
  30
  31
  53
  59
  1970
  2026
  2028
  2200
  99999999999
)";

FUZZ(cron_fields) {
  static const fuzz::Grammar grammar(kFieldsGrammar);
  fuzz::Reader in(input);
  auto zone = Zone::find(in.one_of(kCronZones));
  uint8_t part = in.byte();
  int64_t after = moment(in);
  auto fields = parse_json(grammar.text(in, "fields"));
  if (!fields.ok()) return;
  auto cron = Cron::from_fields(*fields, *zone);
  if (!cron.ok()) return;
  fuzz::plant(fields->find("week") && (*fields)["month"].is_string());
  check_firings(*cron, after, part);
}

}  // namespace
}  // namespace millrace::rules
