// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/suggestions.h"
#include "base/text.h"
#include "packs/readers.h"
#include "packs/runner_types.h"

namespace millrace::packs {
namespace {

// Reads one sensors/*.yaml: of StackStorm (`class_name`), of Attune (`runner_type`, a program), and
// ours, which is either.
class SensorReader {
 public:
  SensorReader(Reading& reading, Section& section) : reading_(reading), section_(section) {}

  void read() {
    section_.ignore({"label", "tags", "meta", "examples", "artifact_uri", "uid", "id",
                     "metadata_file", "parameters", "param_schema", "runtime_version", "pack",
                     "pack_ref"});
    section_.not_supported({"log_retention_policy", "log_retention_limit", "worker_selector",
                            "worker_tolerations", "worker_affinity"});
    sensor_.class_name = section_.text("class_name");
    read_name();
    sensor_.description = section_.text("description");
    sensor_.enabled = section_.flag("enabled", true);
    sensor_.poll_interval_s = section_.number("poll_interval", 0).value_or(0);
    if (const YamlNode* entry_point = section_.find("entry_point")) {
      sensor_.entry_point = entry_point->text;
      check_entry_point(reading_, section_, *entry_point, "sensors", entry_point->text,
                        WhenMissing::Warn);
    } else {
      section_.error(section_.node(), "expected 'entry_point'");
    }
    read_runner();
    const YamlNode* triggers = section_.find("trigger_types");
    bool is_list = triggers && triggers->value.is_list();
    if (triggers && !is_list) section_.error(*triggers, "'trigger_types': expected a list");
    section_.finish();
    if (is_list) read_triggers(*triggers);
    if (!sensor_.ref.empty()) reading_.pack.sensors.push_back(std::move(sensor_));
  }

 private:
  void read_name() {
    const std::string& pack = reading_.pack.ref;
    std::string name = section_.text("ref", section_.text("name", sensor_.class_name));
    section_.name(fmt::format("sensor '{}'", name));
    if (name.empty()) {
      section_.error(section_.node(), "expected 'class_name', 'name' or 'ref'");
      return;
    }
    sensor_.ref = name.starts_with(pack + ".") ? name : pack + "." + name;
    auto here = fmt::format("{}:{}", section_.file(), section_.node().line);
    auto [first, is_new] = reading_.places.try_emplace("sensor " + sensor_.ref, here);
    if (is_new) return;
    section_.warning(section_.node().line,
                     fmt::format("is defined twice (first in {}); this one counts", first->second));
  }

  void read_runner() {
    const YamlNode* type = section_.find("runner_type");
    if (!type) return guess_runner();
    const RunnerType* known = find_runner_type(type->text);
    const Runtime* own = find_own_runtime(reading_, type->text);
    if (own && (!known || known->sdk == Sdk::None)) {
      sensor_.runtime = own->ref;
    } else if (known && !known->runtime.empty()) {
      sensor_.runtime = known->runtime;
      sensor_.sdk = known->sdk;
    } else {
      section_.warning(type->line,
                       fmt::format("no runtime '{}'{}: the sensor is not run", type->text,
                                   did_you_mean(type->text, runner_type_names())));
    }
    // A class has somebody who calls it, in a runtime of the pack's own as well.
    if (!sensor_.runtime.empty() && !sensor_.class_name.empty() && sensor_.sdk == Sdk::None) {
      sensor_.sdk = is_javascript() ? Sdk::Node : Sdk::Python;
    }
  }

  bool is_javascript() const {
    std::string_view file = sensor_.entry_point;
    return file.ends_with(".js") || file.ends_with(".mjs") || file.ends_with(".cjs");
  }

  // A program is started as its name says.
  void guess_runner() {
    std::string_view file = sensor_.entry_point;
    bool has_class = !sensor_.class_name.empty();
    if (is_javascript()) {
      sensor_.runtime = "node";
      if (has_class) sensor_.sdk = Sdk::Node;
    } else if (has_class || file.ends_with(".py")) {
      sensor_.runtime = "python";
      if (has_class) sensor_.sdk = Sdk::Python;
    } else {
      sensor_.runtime = file.ends_with(".sh") ? "shell" : "native";
    }
  }

  void read_triggers(const YamlNode& list) {
    for (const YamlNode& item : list.children) {
      if (item.value.is_string()) {  // of a trigger that stands elsewhere
        bool is_whole = item.text.find('.') != std::string::npos;
        sensor_.triggers.push_back(is_whole ? item.text
                                            : fmt::format("{}.{}", reading_.pack.ref, item.text));
        continue;
      }
      if (!item.value.is_map()) {
        section_.error(item, "'trigger_types': expected maps or refs");
        continue;
      }
      size_t before = reading_.pack.triggers.size();
      Section trigger(item, section_.file(), reading_.findings);
      read_trigger(reading_, trigger);
      if (reading_.pack.triggers.size() > before) {
        sensor_.triggers.push_back(reading_.pack.triggers.back().ref);
      }
    }
  }

  Reading& reading_;
  Section& section_;
  Sensor sensor_;
};

}  // namespace

void read_sensor(Reading& reading, Section& section) { SensorReader(reading, section).read(); }

}  // namespace millrace::packs
