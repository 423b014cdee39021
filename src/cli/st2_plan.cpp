// SPDX-License-Identifier: Apache-2.0
#include "cli/st2_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/text.h"
#include "base/time.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kMask = "********";
constexpr std::string_view kOfItself[] = {"chatops", "packs"};
// Triggers that nothing fires here.
constexpr std::string_view kSilent[] = {"core.st2.action."};

std::string ref_of(const Value& entity) {
  std::string name(entity.string_or("name", ""));
  std::string pack(entity.string_or("pack", "default"));
  return std::string(entity.string_or("ref", fmt::format("{}.{}", pack, name)));
}

class Plan {
 public:
  Plan(const Stackstorm& from, const St2Known& known, int64_t now_ms)
      : from_(from), known_(known), now_ms_(now_ms), here_(known.packs) {}

  std::vector<St2Item> make() {
    for (const Value& pack : from_.packs) add_pack(pack);
    for (const Value& config : from_.configs) add_config(config);
    for (const Value& key : from_.keys) add_key(key);
    for (const Value& rule : from_.rules) add_rule(rule);
    for (const Value& alias : from_.aliases) {
      stays("alias", ref_of(alias), "it comes with its pack");
    }
    for (const Value& policy : from_.policies) {
      stays("policy", ref_of(policy), "it comes with its pack");
    }
    for (const Value& key : from_.api_keys) {
      stays("api key", std::string(key.string_or("user", "")),
            "nobody can read it; make a token: millrace auth token create");
    }
    std::ranges::move(left_, std::back_inserter(items_));
    return std::move(items_);
  }

 private:
  St2Item& add(std::string_view kind, std::string name, Fate fate, std::string why = {}) {
    auto& list = fate == Fate::Stays ? left_ : items_;
    list.push_back({std::string(kind), std::move(name), fate, std::move(why), {}, {}, {}});
    return list.back();
  }

  void stays(std::string_view kind, std::string name, std::string why) {
    add(kind, std::move(name), Fate::Stays, std::move(why));
  }

  void add_pack(const Value& pack) {
    std::string ref(pack.string_or("ref", pack.string_or("name", "")));
    if (known_.packs.contains(ref)) {
      add("pack", ref, Fate::IsThere, ref == "core" ? "core is built in" : "");
      return;
    }
    auto folder = from_.pack_folders.find(ref);
    auto url = from_.pack_urls.find(ref);
    if (std::ranges::find(kOfItself, ref) != std::end(kOfItself)) {
      return stays("pack", ref, "belongs to StackStorm itself");
    }
    if (folder != from_.pack_folders.end()) {
      here_.insert(ref);
      add("pack", ref, Fate::Moves, fmt::format("from {}", folder->second)).folder = folder->second;
    } else if (url != from_.pack_urls.end()) {
      here_.insert(ref);
      std::string version(pack.string_or("version", ""));
      std::string tag = version.empty() ? "" : "v" + version;
      add("pack", ref, Fate::Moves, fmt::format("from {} {}", url->second, tag)).body =
          Value::map({{"git", url->second}, {"ref", tag}});
    } else {
      stays("pack", ref,
            "StackStorm does not say where it is from: give a copy of /opt/stackstorm/packs by "
            "--packs, or millrace pack install");
    }
  }

  // What StackStorm has hidden is left out.
  static Value without_masks(const Value& values, std::string& masked) {
    Value out = Value::map();
    for (const auto& entry : values.as_map()) {
      if (entry.value == Value(kMask)) {
        masked += fmt::format("{}{}", masked.empty() ? "" : ", ", entry.name());
      } else {
        out.set(entry.name(),
                entry.value.is_map() ? without_masks(entry.value, masked) : entry.value);
      }
    }
    return out;
  }

  void add_config(const Value& config) {
    std::string pack(config.string_or("pack", ""));
    const Value& values = config["values"];
    if (!values.is_map() || values.size() == 0) return;
    if (!here_.contains(pack)) return stays("config", pack, "its pack is not here");
    std::string masked;
    Value kept = without_masks(values, masked);
    if (kept.size() == 0) {
      return stays("config", pack, fmt::format("hidden by StackStorm: {}; give --decrypt", masked));
    }
    auto why = masked.empty() ? "" : fmt::format("without {}: hidden by StackStorm", masked);
    auto& item = add("config", pack, Fate::Moves, why);
    item.path = fmt::format("/api/v1/packs/{}/config", net::percent_encode(pack));
    item.body = Value::map({{"values", std::move(kept)}});
  }

  void add_key(const Value& key) {
    std::string name(key.string_or("name", "")), user(key.string_or("user", ""));
    bool is_of_user = std::string_view(key.string_or("scope", "")).ends_with("user");
    std::string scope = is_of_user ? "user:" + user : "system";
    std::string shown = fmt::format("{} {}", scope, name);
    bool is_secret = key.bool_or("secret", false) || key.bool_or("encrypted", false);
    if (is_of_user && user.empty())
      return stays("key", shown, "StackStorm does not say whose it is");
    if (name.empty() || name.contains('/')) {
      return stays("key", shown, "a name has no '/' here: copy it under another");
    }
    if (known_.keys.contains(shown)) {
      add("key", shown, Fate::IsThere);
      return;
    }
    if (key.bool_or("encrypted", false) || (is_secret && key["value"] == Value(kMask))) {
      return stays("key", shown, "encrypted; give --decrypt and an administrator's token");
    }
    Value body = Value::map({{"value", key["value"]}, {"encrypted", is_secret}});
    if (auto expires = expiry_of(key)) {
      if (*expires <= now_ms_) return stays("key", shown, "it is over");
      body.set("ttl_s", (*expires - now_ms_ + 999) / 1000);
    }
    auto& item = add("key", shown, Fate::Moves, is_secret ? "encrypted" : "");
    item.path =
        fmt::format("/api/v1/keys/{}/{}", net::percent_encode(scope), net::percent_encode(name));
    item.body = std::move(body);
  }

  static std::optional<int64_t> expiry_of(const Value& key) {
    auto time = parse_rfc3339(key.string_or("expire_timestamp", ""));
    return time.ok() ? std::optional(*time) : std::nullopt;
  }

  void add_rule(const Value& rule) {
    std::string ref = ref_of(rule);
    std::string pack = ref.substr(0, ref.find('.'));
    if (known_.rules.contains(ref)) {
      add("rule", ref, Fate::IsThere);
      return;
    }
    bool is_enabled = rule.bool_or("enabled", false);
    if (!rule.string_or("metadata_file", "").empty()) {
      if (!here_.contains(pack)) return stays("rule", ref, "its pack is not here");
      add("rule", ref, Fate::Comes, is_enabled ? "" : "off in StackStorm: look whether it is here");
      return;
    }
    std::string trigger(rule["trigger"].string_or("type", ""));
    bool is_silent = std::ranges::any_of(
        kSilent, [&](std::string_view prefix) { return trigger.starts_with(prefix); });
    if (is_silent) return stays("rule", ref, fmt::format("nothing fires {} here", trigger));
    auto& item = add("rule", ref, Fate::Moves, todo_of(rule, trigger));
    item.body = rule_of(rule, ref, trigger, is_enabled);
  }

  static std::string todo_of(const Value& rule, std::string_view trigger) {
    if (trigger != "core.st2.webhook") return {};
    std::string_view url = rule["trigger"]["parameters"].string_or("url", "NAME");
    while (url.starts_with('/')) url.remove_prefix(1);
    return fmt::format("deliveries go to /v1/webhooks/{} with a token of here, in a header", url);
  }

  static Value rule_of(const Value& rule, const std::string& ref, const std::string& trigger,
                       bool is_enabled) {
    auto map_or_empty = [](const Value& value) { return value.is_map() ? value : Value::map(); };
    Value on = map_or_empty(rule["trigger"]["parameters"]);
    if (std::string_view url = on.string_or("url", ""); url.starts_with('/')) {
      on.set("url", Value(url.substr(1)));  // the endpoint's name has no slash here
    }
    bool is_backstop = rule["type"].string_or("ref", "") == "backstop";
    return Value::map(
        {{"ref", ref},
         {"description", std::string(rule.string_or("description", ""))},
         {"enabled", is_enabled},
         {"type", is_backstop ? "backstop" : "standard"},
         {"trigger", Value::map({{"ref", trigger}, {"parameters", std::move(on)}})},
         {"criteria", map_or_empty(rule["criteria"])},
         {"action", Value::map({{"ref", std::string(rule["action"].string_or("ref", ""))},
                                {"parameters", map_or_empty(rule["action"]["parameters"])}})}});
  }

  const Stackstorm& from_;
  const St2Known& known_;
  int64_t now_ms_;
  std::vector<St2Item> items_;
  std::vector<St2Item> left_;   // what stays
  std::set<std::string> here_;  // packs that are here, or will be
};

}  // namespace

std::string_view to_string(Fate fate) {
  switch (fate) {
    case Fate::Moves: return "moves";
    case Fate::IsThere: return "is there";
    case Fate::Comes: return "comes with its pack";
    case Fate::Stays: return "stays";
  }
  return "unknown";
}

std::vector<St2Item> plan_import(const Stackstorm& from, const St2Known& known, int64_t now_ms) {
  return Plan(from, known, now_ms).make();
}

}  // namespace millrace::cli
