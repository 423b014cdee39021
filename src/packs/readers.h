// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "expr/expr.h"
#include "model/pack.h"
#include "packs/files.h"
#include "packs/section.h"

// One function per kind of file in a pack. Each reads one map, reports what is wrong with it, and
// adds what it is to the pack.
namespace millrace::packs {

// What the readers of one pack share.
struct Reading {
  const PackFiles& files;
  expr::Engine& engine;
  std::string folder;  // its name; empty: not known
  Pack pack;
  Findings findings;
  Reuse reuse = Reuse::None;                         // of its actions that do not say
  std::map<std::string, std::string> runtime_names;  // in lower case -> ref, of its own
  std::map<std::string, std::string> places;         // kind and ref -> where it was first defined
};

// Of the key `reuse`, in the order of Reuse.
inline constexpr std::initializer_list<std::string_view> kReuse = {"none", "fork", "process"};

bool is_pack_ref(std::string_view text);
// A runtime that the pack itself brings, by its ref, its name or an alias, in any case.
const Runtime* find_own_runtime(const Reading& reading, const std::string& name);

void read_pack_yaml(Reading& reading, Section& section);
void read_config_schema(Reading& reading, Section& section);
void read_runtime(Reading& reading, Section& section);
void read_trigger(Reading& reading, Section& section);
void read_action(Reading& reading, Section& section);
void read_sensor(Reading& reading, Section& section);  // and the triggers that it defines
void read_alias(Reading& reading, Section& section);
void read_policy(Reading& reading, Section& section);
// The rule, to be checked when everything else is read.
RuleSpec read_rule(Reading& reading, Section& section);

// The ref of what a file defines, from `ref`, or from `name` and the pack; reports what is wrong,
// also a second definition of the same ref (of a trigger it takes the place of the first). `kind`
// is "action", "trigger", ... Also names the section for the messages that follow.
std::string read_ref(Reading& reading, Section& section, std::string_view kind);

// Reports an entry point that is not a file of the pack below `folder`: with a warning where that
// is left to the run.
enum class WhenMissing : uint8_t { Warn, Refuse };
void check_entry_point(Reading& reading, Section& section, const YamlNode& at,
                       std::string_view folder, const std::string& entry_point, WhenMissing when);

}  // namespace millrace::packs
