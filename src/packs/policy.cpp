// SPDX-License-Identifier: Apache-2.0
#include "packs/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "base/excerpt.h"
#include "base/text.h"

namespace millrace::packs {
namespace {

constexpr int64_t kMostAtOnce = 1'000'000;
constexpr int64_t kLongestMs = 365LL * 86'400'000;
constexpr int64_t kMostSpans = 10;  // of kLongestMs, until a burst may come again
constexpr size_t kMostNamed = 16;

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr Unit kUnits[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

struct Choice {
  std::string_view name;
  WhenFull value;
};
constexpr Choice kOfConcurrency[] = {{"queue", WhenFull::Queue},
                                     {"cancel_new", WhenFull::CancelNew},
                                     {"cancel_oldest", WhenFull::CancelOldest}};
constexpr Choice kOfRate[] = {{"queue", WhenFull::Queue}, {"refuse", WhenFull::Refuse}};
// StackStorm's `action`.
constexpr Choice kOfStackStorm[] = {{"delay", WhenFull::Queue}, {"cancel", WhenFull::CancelNew}};

constexpr std::string_view kTypes[] = {"action.concurrency", "action.concurrency.attr",
                                       "action.retry"};

// One map of it, key by key.
class Part {
 public:
  Part(const Value& value, std::string path, std::vector<Problem>& problems)
      : value_(value), path_(std::move(path)), problems_(problems) {}

  const Value* find(std::string_view key) {
    known_.push_back(key);
    const Value* found = value_.find(key);
    return found && !found->is_null() ? found : nullptr;
  }
  std::string text(std::string_view key) {
    const Value* found = find(key);
    if (!found) return {};
    if (!found->is_string()) wrong(key, "expected a text", *found);
    return found->is_string() ? std::string(found->as_string()) : std::string();
  }
  bool flag(std::string_view key, bool fallback) {
    const Value* found = find(key);
    if (!found) return fallback;
    if (!found->is_bool()) wrong(key, "expected true or false", *found);
    return found->is_bool() ? found->as_bool() : fallback;
  }
  std::optional<int64_t> number(std::string_view key, int64_t least, int64_t most) {
    const Value* found = find(key);
    if (!found) return std::nullopt;
    if (found->is_int() && found->as_int() >= least && found->as_int() <= most) {
      return found->as_int();
    }
    wrong(key, fmt::format("expected a whole number from {} to {}", least, most), *found);
    return std::nullopt;
  }
  double real(std::string_view key, double least, double most, double fallback) {
    const Value* found = find(key);
    if (!found) return fallback;
    if (found->is_number() && found->as_float() >= least && found->as_float() <= most) {
      return found->as_float();
    }
    wrong(key, fmt::format("expected a number from {} to {}", least, most), *found);
    return fallback;
  }
  std::optional<int64_t> span(std::string_view key, int64_t least_ms) {
    const Value* found = find(key);
    if (!found) return std::nullopt;
    auto ms = parse_span(*found);
    if (ms && *ms >= least_ms) return *ms;
    wrong(key,
          ms ? fmt::format("expected at least {}", span_text(least_ms))
             : "expected a time such as 30s, 5m, 1h or 1d, or a number of seconds",
          *found);
    return std::nullopt;
  }
  std::vector<std::string> names(std::string_view key) {
    const Value* found = find(key);
    std::vector<std::string> names;
    if (!found) return names;
    if (!found->is_list()) {
      wrong(key, "expected a list of names of parameters", *found);
      return names;
    }
    for (const Value& name : found->as_list()) {
      bool is_name = name.is_string() && name.size() > 0;
      if (!is_name) wrong(key, "expected names of parameters", name);
      if (is_name) names.emplace_back(name.as_string());
    }
    if (names.size() > kMostNamed) error(key, fmt::format("expected at most {}", kMostNamed));
    return names;
  }
  WhenFull when_full(std::string_view key, std::span<const Choice> choices) {
    std::string given = text(key);
    if (given.empty()) return choices[0].value;
    std::vector<std::string_view> names;
    for (const auto& choice : choices) {
      if (choice.name == given) return choice.value;
      names.push_back(choice.name);
    }
    error(key, fmt::format("expected one of {}, found '{}'{}", fmt::join(names, ", "), given,
                           did_you_mean(given, names)));
    return choices[0].value;
  }
  bool is_map() {
    if (value_.is_map()) return true;
    problems_.push_back({path_, fmt::format("expected a map, found {}", json_excerpt(value_, 60))});
    return false;
  }
  void missing(std::string_view key, std::string_view what) {
    problems_.push_back({path_, fmt::format("expected '{}', {}", key, what)});
  }
  void error(std::string_view key, std::string message) {
    problems_.push_back({fmt::format("{}/{}", path_, key), fmt::format("'{}': {}", key, message)});
  }
  // Keys that nobody has asked for.
  void finish() {
    for (const auto& entry : value_.as_map()) {
      if (std::ranges::find(known_, entry.name()) != known_.end()) continue;
      problems_.push_back(
          {fmt::format("{}/{}", path_, entry.name()),
           fmt::format("unknown key '{}'{}", entry.name(), did_you_mean(entry.name(), known_))});
    }
  }

 private:
  void wrong(std::string_view key, std::string_view expected, const Value& found) {
    error(key, fmt::format("{}, found {}", expected, json_excerpt(found, 60)));
  }
  const Value& value_;
  std::string path_;
  std::vector<Problem>& problems_;
  std::vector<std::string_view> known_;
};

int64_t needed(Part& part, std::string_view key) {
  auto found = part.number(key, 1, kMostAtOnce);
  return found.value_or(1);
}

ConcurrencyLimit read_concurrency(Part& part) {
  ConcurrencyLimit limit;
  if (!part.find("limit")) part.missing("limit", "how many may run at once");
  limit.limit = needed(part, "limit");
  limit.by = part.names("by");
  limit.then = part.when_full("then", kOfConcurrency);
  part.finish();
  return limit;
}

RateLimit read_rate(Part& part) {
  RateLimit rate;
  if (!part.find("limit")) part.missing("limit", "how many may start in `per`");
  if (!part.find("per")) part.missing("per", "a time such as 1m");
  rate.limit = needed(part, "limit");
  rate.per_ms = part.span("per", 1000).value_or(1000);
  rate.burst = part.number("burst", 1, kMostAtOnce).value_or(rate.limit);
  if (rate.burst / rate.limit > kLongestMs * kMostSpans / rate.per_ms) {
    part.error("burst", "so many of so slow a rate: it would be years until they may come again");
  }
  rate.by = part.names("by");
  rate.then = part.when_full("then", kOfRate);
  part.finish();
  return rate;
}

QuotaLimit read_quota(Part& part) {
  QuotaLimit quota;
  if (!part.find("limit")) part.missing("limit", "how many may start in each hour or day");
  quota.limit = needed(part, "limit");
  constexpr std::array<std::string_view, 2> kPer{"hour", "day"};
  std::string per = part.text("per");
  if (per == "hour") quota.per_ms = 3'600'000;
  if (per.empty()) part.missing("per", "hour or day");
  if (!per.empty() && per != "hour" && per != "day") {
    part.error("per", fmt::format("expected hour or day, found '{}'{}", per,
                                  did_you_mean(per, std::span<const std::string_view>(kPer))));
  }
  quota.by = part.names("by");
  part.finish();
  return quota;
}

RetryRule read_retry(Part& part) {
  RetryRule retry;
  const Value* on = part.find("on");
  if (on) {
    retry.on_failed = retry.on_timeout = false;
    ValueList all = on->is_list() ? on->as_list() : ValueList{*on};
    for (const Value& one : all) {
      bool failed = one == Value("failed");
      bool timeout = one == Value("timeout");
      retry.on_failed |= failed;
      retry.on_timeout |= timeout;
      if (!failed && !timeout) {
        part.error("on", fmt::format("expected failed, timeout or both in a list, found {}",
                                     json_excerpt(one, 40)));
      }
    }
  }
  if (!part.find("count")) part.missing("count", "how many attempts more");
  retry.count = part.number("count", 1, 1000).value_or(1);
  retry.delay_ms = part.span("delay", 0).value_or(0);
  retry.backoff = part.real("backoff", 1, 100, 1);
  retry.most_delay_ms = part.span("max_delay", 0).value_or(retry.most_delay_ms);
  retry.most_delay_ms = std::max(retry.most_delay_ms, retry.delay_ms);
  retry.jitter = part.real("jitter", 0, 1, 0);
  retry.of_steps = part.flag("steps", true);
  part.finish();
  return retry;
}

// StackStorm's three, with the keys of its schemas.
void read_stackstorm(Part& whole, std::string_view type, PolicySpec& spec,
                     std::vector<Problem>& problems) {
  const Value* found = whole.find("parameters");
  static const Value kNone = Value::map();
  Part part(found ? *found : kNone, "/parameters", problems);
  if (!part.is_map()) return;
  if (type == "action.retry") {
    RetryRule retry{.of_steps = false};
    std::string on = part.text("retry_on");
    if (on.empty()) part.missing("retry_on", "failure or timeout");
    if (!on.empty() && on != "failure" && on != "timeout") {
      part.error("retry_on", fmt::format("expected failure or timeout, found '{}'", on));
    }
    retry.on_timeout = on == "timeout";
    retry.on_failed = !retry.on_timeout;
    if (!part.find("max_retry_count")) part.missing("max_retry_count", "how many attempts more");
    retry.count = part.number("max_retry_count", 1, 1000).value_or(1);
    retry.delay_ms = 1000 * part.number("delay", 0, kLongestMs / 1000).value_or(0);
    retry.most_delay_ms = std::max(retry.most_delay_ms, retry.delay_ms);
    spec.retry = retry;
  } else {
    ConcurrencyLimit limit;
    if (!part.find("threshold")) part.missing("threshold", "how many may run at once");
    limit.limit = needed(part, "threshold");
    limit.then = part.when_full("action", kOfStackStorm);
    if (type == "action.concurrency.attr") {
      limit.by = part.names("attributes");
      if (limit.by.empty()) part.missing("attributes", "a list of names of parameters");
    }
    spec.concurrency = std::move(limit);
  }
  part.finish();
}

void read_target(Part& whole, std::string_view pack, PolicySpec& spec,
                 std::vector<Problem>& problems) {
  spec.action = whole.text("action");
  for (std::string_view key : {"resource_ref", "action_ref"}) {
    std::string given = whole.text(key);
    if (!given.empty() && spec.action.empty()) spec.action = std::move(given);
  }
  spec.pack = whole.text("of_pack");
  bool is_short = !spec.action.empty() && spec.action.find('.') == std::string::npos;
  if (is_short && !pack.empty()) spec.action = fmt::format("{}.{}", pack, spec.action);
  if (spec.action.empty() == spec.pack.empty()) {
    problems.push_back({"", spec.action.empty()
                                ? "expected 'action' (a ref), or 'of_pack': what it is for"
                                : "expected either 'action' or 'of_pack', found both"});
  }
}

std::string_view name_of(WhenFull then) {
  for (const auto& choice : kOfConcurrency) {
    if (choice.value == then) return choice.name;
  }
  return "refuse";
}

Value names_value(const std::vector<std::string>& names) {
  Value list = Value::list();
  for (const auto& name : names) list.push_back(name);
  return list;
}

}  // namespace

std::optional<int64_t> parse_span(const Value& value) {
  double number = 0;
  double unit = 1000;
  if (value.is_number()) {
    number = value.as_float();
  } else if (value.is_string()) {
    std::string_view text = trim(value.as_string());
    const char* end = text.data() + text.size();
    auto read = std::from_chars(text.data(), end, number);
    if (read.ec != std::errc()) return std::nullopt;
    std::string_view name = trim(std::string_view(read.ptr, static_cast<size_t>(end - read.ptr)));
    auto found = std::ranges::find(kUnits, name, &Unit::name);
    if (found == std::end(kUnits)) return std::nullopt;
    unit = static_cast<double>(found->ms);
  } else {
    return std::nullopt;
  }
  double ms = number * unit;
  if (!(ms >= 0 && ms <= static_cast<double>(kLongestMs))) return std::nullopt;
  return static_cast<int64_t>(std::llround(ms));
}

std::string span_text(int64_t ms) {
  for (size_t i = std::size(kUnits); i-- > 0;) {
    if (ms != 0 && ms % kUnits[i].ms == 0) {
      return fmt::format("{}{}", ms / kUnits[i].ms, kUnits[i].name);
    }
  }
  return "0s";
}

PolicySpec read_policy_value(const Value& value, std::string_view pack,
                             std::vector<Problem>& problems) {
  PolicySpec spec;
  Part whole(value, "", problems);
  if (!whole.is_map()) return spec;
  for (std::string_view key : {"name", "ref", "pack", "pack_ref", "label", "tags", "uid", "id",
                               "metadata_file", "resource_type"}) {
    (void)whole.find(key);
  }
  spec.description = whole.text("description");
  spec.enabled = whole.flag("enabled", true);
  read_target(whole, pack, spec, problems);
  std::string type = whole.text("policy_type");
  if (!type.empty()) {
    bool is_known = std::ranges::find(kTypes, type) != std::end(kTypes);
    if (!is_known) {
      whole.error("policy_type",
                  fmt::format("expected one of {}, found '{}'{}", fmt::join(kTypes, ", "), type,
                              did_you_mean(type, std::span<const std::string_view>(kTypes))));
    } else {
      read_stackstorm(whole, type, spec, problems);
    }
    whole.finish();
    return spec;
  }
  auto read = [&](std::string_view key, auto& into, auto reader) {
    const Value* found = whole.find(key);
    if (!found) return;
    Part part(*found, fmt::format("/{}", key), problems);
    if (part.is_map()) into = reader(part);
  };
  read("concurrency", spec.concurrency, read_concurrency);
  read("rate", spec.rate, read_rate);
  read("quota", spec.quota, read_quota);
  read("retry", spec.retry, read_retry);
  (void)whole.find("policy_type");
  whole.finish();
  bool says_nothing = !value.find("concurrency") && !value.find("rate") && !value.find("quota") &&
                      !value.find("retry");
  if (says_nothing) {
    problems.push_back({"",
                        "expected one of 'concurrency', 'rate', 'quota', 'retry', or "
                        "StackStorm's 'policy_type'"});
  }
  return spec;
}

Value policy_to_value(const PolicySpec& spec) {
  Value value = Value::map({{"ref", spec.ref}, {"description", spec.description}});
  if (!spec.action.empty()) value.set("action", spec.action);
  if (!spec.pack.empty()) value.set("of_pack", spec.pack);
  value.set("enabled", spec.enabled);
  if (const auto& limit = spec.concurrency) {
    value.set("concurrency", Value::map({{"limit", limit->limit},
                                         {"by", names_value(limit->by)},
                                         {"then", name_of(limit->then)}}));
  }
  if (const auto& rate = spec.rate) {
    value.set("rate", Value::map({{"limit", rate->limit},
                                  {"per", span_text(rate->per_ms)},
                                  {"burst", rate->burst},
                                  {"by", names_value(rate->by)},
                                  {"then", name_of(rate->then)}}));
  }
  if (const auto& quota = spec.quota) {
    value.set("quota", Value::map({{"limit", quota->limit},
                                   {"per", quota->per_ms == 3'600'000 ? "hour" : "day"},
                                   {"by", names_value(quota->by)}}));
  }
  if (const auto& retry = spec.retry) {
    Value on = Value::list();
    if (retry->on_failed) on.push_back("failed");
    if (retry->on_timeout) on.push_back("timeout");
    value.set("retry", Value::map({{"on", std::move(on)},
                                   {"count", retry->count},
                                   {"delay", span_text(retry->delay_ms)},
                                   {"backoff", retry->backoff},
                                   {"max_delay", span_text(retry->most_delay_ms)},
                                   {"jitter", retry->jitter},
                                   {"steps", retry->of_steps}}));
  }
  return value;
}

std::vector<Problem> policy_problems(const PolicySpec& spec, const Action& action) {
  std::vector<Problem> problems;
  std::vector<std::string_view> names;
  for (const auto& parameter : action.parameters) names.push_back(parameter.name);
  auto check = [&](std::string_view part, const std::vector<std::string>& by) {
    for (const auto& name : by) {
      auto found = std::ranges::find(action.parameters, name, &Parameter::name);
      if (found == action.parameters.end()) {
        problems.push_back({fmt::format("/{}/by", part),
                            fmt::format("action '{}' has no parameter '{}'{}", action.ref, name,
                                        did_you_mean(name, names))});
      } else if (found->secret) {
        problems.push_back(
            {fmt::format("/{}/by", part),
             fmt::format("parameter '{}' is secret: its values are counted nowhere", name)});
      }
    }
  };
  if (spec.concurrency) check("concurrency", spec.concurrency->by);
  if (spec.rate) check("rate", spec.rate->by);
  if (spec.quota) check("quota", spec.quota->by);
  return problems;
}

std::vector<Problem> policy_problems(const PolicySpec& spec, const Pack& pack) {
  std::vector<Problem> problems;
  auto check = [&](std::string_view part, const std::vector<std::string>& by) {
    for (const auto& name : by) {
      auto keeps_secret = [&](const Action& action) {
        auto found = std::ranges::find(action.parameters, name, &Parameter::name);
        return found != action.parameters.end() && found->secret;
      };
      auto action = std::ranges::find_if(pack.actions, keeps_secret);
      if (action == pack.actions.end()) continue;
      problems.push_back(
          {fmt::format("/{}/by", part),
           fmt::format("parameter '{}' of action '{}' is secret: its values are counted nowhere",
                       name, action->ref)});
    }
  };
  if (spec.concurrency) check("concurrency", spec.concurrency->by);
  if (spec.rate) check("rate", spec.rate->by);
  if (spec.quota) check("quota", spec.quota->by);
  return problems;
}

}  // namespace millrace::packs
