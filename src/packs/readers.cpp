// SPDX-License-Identifier: Apache-2.0
#include "packs/readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/problems.h"
#include "base/suggestions.h"
#include "base/text.h"
#include "packs/parameters_reader.h"

namespace millrace::packs {
namespace {

bool is_entity_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c >= 0x80;
  });
}

}  // namespace

bool is_pack_ref(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void read_pack_yaml(Reading& reading, Section& section) {
  Pack& pack = reading.pack;
  section.name("pack");
  std::string name = section.text("name");
  pack.ref = section.text("ref", name);
  const YamlNode* ref = section.find_any({"ref", "name"});
  if (!ref) {
    section.error(1, "expected 'ref' or 'name'");
  } else if (!is_pack_ref(pack.ref) && ref->key == "name" && is_pack_ref(reading.folder)) {
    pack.ref = reading.folder;  // as StackStorm
  } else if (!is_pack_ref(pack.ref)) {
    section.error(*ref, fmt::format("expected a ref of a-z, 0-9, '_' and '-', found '{}'{}",
                                    pack.ref, ref->key == "name" ? " (give one by 'ref')" : ""));
  }
  pack.label = section.text("label", name);
  pack.description = section.text("description");
  pack.version = section.text("version");
  if (pack.version.empty()) section.warning(1, "expected 'version'");
  pack.author = section.text("author");
  pack.keywords = section.texts("keywords");
  pack.dependencies = section.texts("dependencies");
  if (const YamlNode* schema = section.find("conf_schema")) {
    pack.config_schema = schema_of(read_parameters(section, schema, reading.engine));
  }
  pack.config = section.map("config");
  if (auto reuse = section.choice("reuse", kReuse)) reading.reuse = static_cast<Reuse>(*reuse);
  pack.build = section.text("build");
  section.ignore({"email", "contributors", "uid", "id", "files", "path", "system", "tags", "meta",
                  "enabled", "stackstorm_version", "python_versions", "runtime_deps", "testing",
                  "license", "homepage", "url", "icon"});
  section.not_supported({"worker_selector", "worker_tolerations", "worker_affinity"});
  section.finish();
}

void read_config_schema(Reading& reading, Section& section) {
  section.name("configuration");
  reading.pack.config_schema = config_schema_of(section, section.node(), reading.engine);
}

std::string read_ref(Reading& reading, Section& section, std::string_view kind) {
  const std::string& pack = reading.pack.ref;
  section.ignore({"pack", "pack_ref", "uid", "id"});
  std::string ref = section.text("ref");
  std::string name = section.text("name");
  const YamlNode* at = section.find_any({"ref", "name"});
  bool is_whole = ref.starts_with(pack + ".");
  if (!at) {
    section.name(fmt::format("{} in {}", kind, section.file()));
    section.error(section.node(), "expected 'name'");
    return {};
  }
  if (ref.empty()) ref = pack + "." + name;
  section.name(fmt::format("{} '{}'", kind, ref));
  if (at->key == "ref" && !is_whole) {
    section.error(*at, fmt::format("expected a ref that begins with '{}.', found '{}'", pack, ref));
  } else if (!is_entity_name(at->key == "ref" ? ref : name)) {
    section.error(*at, fmt::format("expected a name of letters, digits, '_', '-' and '.', found "
                                   "'{}'",
                                   name));
  }
  for (std::string_view key : {"pack", "pack_ref"}) {
    std::string given = section.text(key);
    if (given.empty() || given == pack) continue;
    section.error(*section.find(key),
                  fmt::format("expected '{}' (the pack's ref), found '{}'", pack, given));
  }
  auto here = fmt::format("{}:{}", section.file(), at->line);
  auto [first, is_new] = reading.places.try_emplace(fmt::format("{} {}", kind, ref), here);
  if (is_new) return ref;
  auto twice = fmt::format("is defined twice (first in {})", first->second);
  if (kind == "trigger") {
    section.warning(at->line, twice + "; this one counts");
  } else {
    section.error(*at, twice);
  }
  return ref;
}

void check_entry_point(Reading& reading, Section& section, const YamlNode& at,
                       std::string_view folder, const std::string& entry_point, WhenMissing when) {
  std::string path = fmt::format("{}/{}", folder, entry_point);
  if (reading.files.contains(path)) return;
  bool leads_out = entry_point.starts_with('/') || entry_point.starts_with("../") ||
                   entry_point.find("/../") != std::string::npos;
  if (leads_out) {
    section.error(at, fmt::format("'{}': expected a path inside of {}/, found '{}'", at.key, folder,
                                  entry_point));
    return;
  }
  const Findings& found = section.findings();
  std::optional<WithoutSuggestions> behind_the_first;
  if ((when == WhenMissing::Warn ? found.warnings : found.errors).size() >= kMostProblems) {
    behind_the_first.emplace();
  }
  std::vector<std::string> names;
  std::string prefix = fmt::format("{}/", folder);
  for (auto file = reading.files.lower_bound(prefix);
       !WithoutSuggestions::now() && file != reading.files.end() && file->first.starts_with(prefix);
       ++file) {
    names.push_back(file->first.substr(prefix.size()));
  }
  auto message = fmt::format("'{}': the pack has no file {}{}", at.key, path,
                             did_you_mean(entry_point, names));
  when == WhenMissing::Warn ? section.warning(at.line, message) : section.error(at, message);
}

void read_trigger(Reading& reading, Section& section) {
  Trigger trigger;
  trigger.ref = read_ref(reading, section, "trigger");
  trigger.description = section.text("description");
  trigger.parameters = read_parameters(
      section, section.find_any({"parameters_schema", "parameters", "param_schema"}),
      reading.engine);
  trigger.payload_schema = read_object_schema(
      section, section.find_any({"payload_schema", "output", "output_schema", "out_schema"}));
  section.flag("enabled", true);
  section.ignore({"label", "type", "tags", "examples", "meta", "metadata_file"});
  section.not_supported({"reference_visibility", "reference_allowed_pack_refs", "webhook"});
  section.finish();
  if (!trigger.ref.empty()) reading.pack.triggers.push_back(std::move(trigger));
}

namespace {

// `interpreter` as a list of words, a word, or Attune's {binary, args}.
std::vector<std::string> read_interpreter(Section& section, const YamlNode* at) {
  std::vector<std::string> words;
  if (!at) return words;
  if (at->value.is_string()) return {at->text};
  if (at->value.is_map()) {
    words.emplace_back(at->value.string_or("binary", ""));
    at = at->find("args");
    if (!at) return words;
  }
  if (!at->value.is_list()) {
    section.error(*at, "'interpreter': expected a list of words");
    return words;
  }
  for (const YamlNode& word : at->children) words.push_back(word.text);
  return words;
}

// NAME: VALUE, or Attune's NAME: {operation: prepend, value: VALUE, separator: ':'}.
void read_env(Section& section, const YamlNode* at, Runtime& runtime) {
  if (!at) return;
  if (!at->value.is_map()) return section.error(*at, "'env': expected a map");
  using How = RuntimeVariable::How;
  constexpr std::pair<std::string_view, How> kHow[] = {
      {"set", How::Set}, {"prepend", How::Prepend}, {"append", How::Append}};
  for (const YamlNode& entry : at->children) {
    const YamlNode* value = entry.value.is_map() ? entry.find("value") : &entry;
    if (!value || value->value.is_list() || value->value.is_map()) {
      section.error(entry, fmt::format("'{}': expected a text", entry.key));
      continue;
    }
    RuntimeVariable variable{.name = entry.key, .value = value->text};
    if (entry.value.is_map()) {
      auto operation = entry.value.string_or("operation", "set");
      auto how = std::ranges::find(kHow, operation, &std::pair<std::string_view, How>::first);
      if (how == std::end(kHow)) {
        section.error(entry, fmt::format("'{}': 'operation': expected set, prepend or append, "
                                         "found '{}'",
                                         entry.key, operation));
        continue;
      }
      variable.how = how->second;
      variable.separator = entry.value.string_or("separator", ":");
    }
    runtime.env.push_back(std::move(variable));
  }
}

// `environment`, and Attune's `dependencies` beside it.
void read_environment(Section& section, EnvironmentRecipe& recipe) {
  for (std::string_view key : {"environment", "dependencies"}) {
    const YamlNode* at = section.find(key);
    if (!at) continue;
    if (!at->value.is_map()) {
      section.error(*at, fmt::format("'{}': expected a map", key));
      continue;
    }
    Section inner(*at, section.file(), section.findings());
    inner.name(fmt::format("'{}' of a runtime", key));
    inner.ignore({"env_type", "dir_name", "recreate_command"});
    if (inner.find("create_command")) recipe.create = inner.texts("create_command");
    if (inner.find("install_command")) recipe.install = inner.texts("install_command");
    recipe.interpreter = inner.text("interpreter_path", recipe.interpreter);
    recipe.manifest = inner.text("manifest_file", recipe.manifest);
    inner.finish();
  }
}

void read_execution(Section& section, Runtime& runtime) {
  runtime.interpreter = read_interpreter(section, section.find("interpreter"));
  read_env(section, section.find_any({"env", "env_vars"}), runtime);
  read_environment(section, runtime.environment);
}

}  // namespace

void read_runtime(Reading& reading, Section& section) {
  Runtime runtime;
  std::string name = section.text("name");
  runtime.ref = read_ref(reading, section, "runtime");
  if (const YamlNode* execution = section.find("execution_config")) {
    Section inner(*execution, section.file(), reading.findings);
    inner.name(fmt::format("runtime '{}'", runtime.ref));
    inner.ignore({"inline_execution"});
    read_execution(inner, runtime);
    inner.finish();
  } else {
    read_execution(section, runtime);
  }
  auto names = section.texts("aliases");
  names.push_back(name);
  names.push_back(runtime.ref);
  if (size_t dot = runtime.ref.find('.'); dot != std::string::npos) {
    names.push_back(runtime.ref.substr(dot + 1));
  }
  section.ignore(
      {"label", "description", "enabled", "tags", "meta", "distributions", "installation"});
  section.not_supported({"versions"});
  section.finish();
  if (runtime.ref.empty()) return;
  for (const auto& each : names) {
    if (!each.empty()) reading.runtime_names.try_emplace(to_lower_ascii(each), runtime.ref);
  }
  reading.pack.runtimes.push_back(std::move(runtime));
}

namespace {

struct Reference {
  std::string ref;
  Value parameters;
};

// What a rule says of its trigger or action: `KEY: ref`, `KEY: {INNER: ref, parameters}`, or
// Attune's `KEY_ref` and `KEY_params`.
Reference read_reference(Section& section, const std::string& key, std::string_view inner_key) {
  Reference out{section.text(key + "_ref"), section.map(key + "_params")};
  const YamlNode* at = section.find(key);
  if (!at) return out;
  if (!at->value.is_map()) {
    out.ref = section.text(key);
    return out;
  }
  Section inner(*at, section.file(), section.findings());
  inner.name(fmt::format("'{}' of a rule", key));
  out.ref = inner.text(inner_key, inner.text("ref"));
  inner.ignore({"description", "uid"});
  out.parameters = inner.map("parameters");
  inner.finish();
  return out;
}

}  // namespace

RuleSpec read_rule(Reading& reading, Section& section) {
  RuleSpec rule;
  rule.ref = read_ref(reading, section, "rule");
  rule.description = section.text("description");
  rule.enabled = section.flag("enabled", true);
  rule.trace_tag = section.text("trace_tag");
  Reference trigger = read_reference(section, "trigger", "type");
  rule.trigger = std::move(trigger.ref);
  rule.trigger_parameters = std::move(trigger.parameters);
  Reference action = read_reference(section, "action", "ref");
  rule.action = std::move(action.ref);
  rule.action_parameters = std::move(action.parameters);
  if (const YamlNode* criteria = section.find_any({"criteria", "conditions"})) {
    rule.criteria = criteria->value;
  }
  if (const YamlNode* type = section.find("type")) {
    std::string kind =
        type->value.is_map() ? std::string(type->value.string_or("ref", "")) : type->text;
    rule.backstop = kind == "backstop";
    if (kind != "backstop" && kind != "standard") {
      section.error(*type, fmt::format("'type': expected standard or backstop, found '{}'", kind));
    }
  }
  section.ignore({"label", "tags", "context", "meta", "metadata_file"});
  section.finish();
  return rule;
}

}  // namespace millrace::packs
