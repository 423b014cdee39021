// SPDX-License-Identifier: Apache-2.0
#include "packs/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <string_view>
#include <tuple>

#include "base/excerpt.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/suggestions.h"
#include "packs/config.h"
#include "packs/readers.h"

namespace millrace::packs {
namespace {

bool is_yaml(std::string_view path) { return path.ends_with(".yaml") || path.ends_with(".yml"); }

// `file:line` in the order in which people read.
bool stands_before(const Problem& a, const Problem& b) {
  auto place = [](const Problem& problem) {
    std::string_view path = problem.path;
    size_t colon = path.rfind(':');
    int line = 0;
    std::from_chars(path.data() + colon + 1, path.data() + path.size(), line);
    return std::tuple(path.substr(0, colon), line, std::string_view(problem.message));
  };
  return place(a) < place(b);
}

// A token of a JSON pointer as it was before escaping.
std::string unescaped(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    bool escaped = token[i] == '~' && i + 1 < token.size();
    out += !escaped ? token[i] : token[++i] == '1' ? '/' : '~';
  }
  return out;
}

}  // namespace

class PackReader::Impl {
 public:
  Impl(const PackFiles& files, expr::Engine& engine, std::string folder)
      : reading_{.files = files, .engine = engine, .folder = std::move(folder)} {
    read_one("pack.yaml", read_pack_yaml, true);
    reading_.pack.digest = digest_of(reading_.files);
    read_one("config.schema.yaml", read_config_schema, false);
    read_folder("runtimes", "a runtime", read_runtime);
    read_folder("triggers", "a trigger", read_trigger);
    read_folder("sensors", "a sensor", read_sensor);  // before rules: they define triggers
    keep_last(reading_.pack.triggers);
    keep_last(reading_.pack.sensors);
    read_folder("actions", "an action", read_action);
    read_folder("policies", "a policy", read_policy);
    read_folder("aliases", "an alias", read_alias);
    check_config();
    read_rules();
  }

  const Pack& pack() const { return reading_.pack; }

  Report finish(const RuleCheck& check_rule) {
    if (check_rule) check_rules(check_rule);
    std::ranges::sort(reading_.findings.errors, stands_before);
    std::ranges::sort(reading_.findings.warnings, stands_before);
    reading_.pack.faults = limited(std::move(reading_.findings.errors));
    auto errors = reading_.pack.faults;
    bool is_usable = is_pack_ref(reading_.pack.ref);
    return {std::move(reading_.pack), std::move(errors),
            limited(std::move(reading_.findings.warnings)), is_usable};
  }

 private:
  using Reader = void (*)(Reading&, Section&);

  // The root of a file's YAML, if it is a map. Trees are kept: rules are checked at the end.
  const YamlNode* parse(const std::string& path, const std::string& bytes, bool may_be_empty,
                        std::string_view what) {
    auto parsed = parse_yaml(bytes, path);
    if (!parsed) {
      const auto& problems = parsed.error().problems();
      reading_.findings.errors.insert(reading_.findings.errors.end(), problems.begin(),
                                      problems.end());
      return nullptr;
    }
    if (parsed->value.is_null() && may_be_empty) return nullptr;
    if (!parsed->value.is_map()) {
      bool is_empty = parsed->value.is_null();
      error(path, parsed->line,
            fmt::format("expected {}, a map, found {}", what,
                        is_empty ? "an empty document" : json_excerpt(parsed->value, 60)));
      return nullptr;
    }
    return &trees_.emplace_back(std::move(*parsed));
  }

  void error(const std::string& path, int line, std::string message) {
    reading_.findings.errors.push_back({fmt::format("{}:{}", path, line), std::move(message)});
  }

  void warning(const std::string& path, int line, std::string message) {
    reading_.findings.warnings.push_back({fmt::format("{}:{}", path, line), std::move(message)});
  }

  void read_one(const std::string& path, Reader reader, bool is_required) {
    auto file = reading_.files.find(path);
    if (file == reading_.files.end()) {
      if (is_required) error(path, 1, "the file is missing: every pack has one");
      return;
    }
    const YamlNode* root =
        parse(path, file->second, !is_required, is_required ? "a pack" : "a schema");
    if (!root) return;
    Section section(*root, path, reading_.findings);
    reader(reading_, section);
  }

  // Calls `read` for each YAML file that stands directly in a folder of the pack.
  template <typename Read>
  void each_file(const std::string& folder, std::string_view what, Read read) {
    std::string prefix = folder + "/";
    for (const auto& [path, bytes] : reading_.files) {
      bool is_inside = path.starts_with(prefix) && path.find('/', prefix.size()) == path.npos;
      if (!is_inside || !is_yaml(path)) continue;
      hush();
      if (const YamlNode* root = parse(path, bytes, false, what)) read(path, *root);
    }
  }

  void read_folder(const std::string& folder, std::string_view what, Reader reader) {
    each_file(folder, what, [&](const std::string& path, const YamlNode& root) {
      Pack& pack = reading_.pack;
      size_t errors = reading_.findings.errors.size(), runtimes = pack.runtimes.size(),
             triggers = pack.triggers.size(), actions = pack.actions.size(),
             sensors = pack.sensors.size(), aliases = pack.aliases.size(),
             policies = pack.policies.size();
      Section section(root, path, reading_.findings);
      reader(reading_, section);
      if (reading_.findings.errors.size() == errors) return;
      pack.runtimes.resize(runtimes);
      pack.triggers.resize(triggers);
      pack.actions.resize(actions);
      pack.sensors.resize(sensors);
      pack.aliases.resize(aliases);
      pack.policies.resize(policies);
    });
  }

  // Sensors may define a trigger again, and one another; the last one counts.
  template <typename T>
  static void keep_last(std::vector<T>& named) {
    std::set<std::string_view> seen;
    std::vector<T> kept;
    for (const auto& one : named | std::views::reverse) {
      if (seen.insert(one.ref).second) kept.push_back(one);
    }
    std::ranges::reverse(kept);
    named = std::move(kept);
  }

  // The defaults of the schema, with the pack's own `config` over them.
  void check_config() {
    Pack& pack = reading_.pack;
    if (!pack.config.is_map()) pack.config = Value::map();
    for (const Problem& problem : config_problems(pack.config_schema, pack.config)) {
      auto name = std::string_view(problem.path).substr(1);
      int line = trees_.front().line_of("/config" + problem.path);  // pack.yaml
      error("pack.yaml", line,
            fmt::format("config '{}': {}", name.substr(0, name.find('/')), problem.message));
    }
    pack.config = with_defaults(pack.config_schema, std::move(pack.config));
  }

  void read_rules() {
    each_file("rules", "a rule", [&](const std::string& path, const YamlNode& root) {
      size_t errors = reading_.findings.errors.size();
      Section section(root, path, reading_.findings);
      RuleSpec rule = read_rule(reading_, section);
      if (rule.ref.empty() || reading_.findings.errors.size() > errors) return;
      reading_.pack.rules.push_back(std::move(rule));
      rules_.push_back({path, &root});
    });
  }

  void check_rules(const RuleCheck& check_rule) {
    std::vector<RuleSpec> sound;
    for (size_t i = 0; i < rules_.size(); ++i) {
      const auto& [path, root] = rules_[i];
      RuleSpec& rule = reading_.pack.rules[i];
      hush();
      auto problems = check_rule(rule, reading_.pack);
      for (const Problem& problem : problems) {
        auto message =
            fmt::format("rule '{}': {}{}", rule.ref, place_in_rule(problem.path), problem.message);
        int line = line_of(*root, problem.path);
        if (waits_for_another_pack(rule, problem)) {
          message += "; the rule is left out until it is there";
          reading_.pack.waiting.push_back({fmt::format("{}:{}", path, line), message});
          warning(path, line, std::move(message));
        } else {
          error(path, line, std::move(message));
        }
      }
      if (problems.empty()) sound.push_back(std::move(rule));
    }
    reading_.pack.rules = std::move(sound);
  }

  // What check_rule() says of refs stands where the refs do.
  bool waits_for_another_pack(const RuleSpec& rule, const Problem& problem) const {
    const std::string& ref = problem.path == "/action/ref"     ? rule.action
                             : problem.path == "/trigger/type" ? rule.trigger
                                                               : reading_.pack.ref;
    size_t dot = ref.find('.');
    return dot != ref.npos && dot > 0 && std::string_view(ref).substr(0, dot) != reading_.pack.ref;
  }

  void hush() {
    if (!hushed_ && reading_.findings.errors.size() >= kMostProblems) hushed_.emplace();
  }

  // A rule's file may use the flat spelling (trigger_ref, ...): see read_rule().
  static int line_of(const YamlNode& root, const std::string& pointer) {
    constexpr std::pair<std::string_view, std::string_view> kFlat[] = {
        {"/trigger/type", "trigger_ref"},
        {"/trigger/parameters", "trigger_params"},
        {"/action/ref", "action_ref"},
        {"/action/parameters", "action_params"},
        {"/criteria", "conditions"}};
    for (const auto& [prefix, key] : kFlat) {
      if (!pointer.starts_with(prefix) || !root.find(key)) continue;
      return root.line_of("/" + std::string(key) + pointer.substr(prefix.size()));
    }
    return root.line_of(pointer);
  }

  // "criterion 'trigger.body.ref': ", "parameter 'branch': ", or nothing.
  static std::string place_in_rule(std::string_view pointer) {
    constexpr std::pair<std::string_view, std::string_view> kPlaces[] = {
        {"/criteria/", "criterion"},
        {"/action/parameters/", "parameter"},
        {"/trigger/parameters/", "trigger parameter"}};
    for (const auto& [prefix, what] : kPlaces) {
      if (!pointer.starts_with(prefix)) continue;
      auto token = pointer.substr(prefix.size());
      return fmt::format("{} '{}': ", what, unescaped(token.substr(0, token.find('/'))));
    }
    return {};
  }

  struct RuleFile {
    std::string path;
    const YamlNode* root;
  };

  Reading reading_;
  std::optional<WithoutSuggestions> hushed_;
  std::deque<YamlNode> trees_;   // stays where it is as it grows
  std::vector<RuleFile> rules_;  // of each of the pack's rules
};

PackReader::PackReader(const PackFiles& files, expr::Engine& engine, std::string folder)
    : impl_(std::make_unique<Impl>(files, engine, std::move(folder))) {}
PackReader::PackReader(PackReader&&) noexcept = default;
PackReader::~PackReader() = default;
const Pack& PackReader::pack() const { return impl_->pack(); }
bool PackReader::is_usable() const { return is_pack_ref(pack().ref); }
Report PackReader::finish(const RuleCheck& check_rule) { return impl_->finish(check_rule); }

Report check(const PackFiles& files, expr::Engine& engine, const RuleCheck& check_rule,
             std::string folder) {
  return PackReader(files, engine, std::move(folder)).finish(check_rule);
}

Result<Pack> load(const PackFiles& files, std::string folder, expr::Engine& engine,
                  const RuleCheck& check_rule) {
  Report report = check(files, engine, check_rule);
  if (report.errors.empty()) {
    report.pack.folder = std::move(folder);
    return std::move(report.pack);
  }
  return Error(ErrorKind::Invalid, "PCK-0002",
               fmt::format("pack '{}' is not valid: {} problem{}",
                           report.pack.ref.empty() ? folder : report.pack.ref, report.errors.size(),
                           report.errors.size() == 1 ? "" : "s"))
      .with_problems(std::move(report.errors));
}

}  // namespace millrace::packs
