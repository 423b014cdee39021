// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/fuzzing.h"
#include "base/json.h"
#include "packs/archive.h"
#include "packs/load.h"
#include "packs/native_file.h"
#include "packs/parameters.h"

namespace millrace::packs {
namespace {

const std::string kPack = "ref: f\nversion: 1\n";

// Arbitrary bytes as every kind of YAML file of a pack.
FUZZ(packs) {
  std::string bytes(input);
  PackFiles files = {{"pack.yaml", kPack}};
  for (const char* path : {"runtimes/f.yaml", "triggers/f.yaml", "sensors/f.yaml", "actions/f.yaml",
                           "rules/f.yaml", "config.schema.yaml"}) {
    files[path] = bytes;
  }
  static expr::Engine engine;
  auto report = check(files, engine);
  for (const auto& trigger : report.pack.triggers) {
    if (trigger.parameters.empty()) continue;
    const std::string& name = trigger.parameters[0].name;
    fuzz::plant(name != "a" && name != "cmd");  // as the seeds have it
  }
  check({{"pack.yaml", bytes}}, engine);
}

// What is taken out of an archive could be written to a folder, and is what goes into one again.
FUZZ(pack_archive) {
  auto pack = read_tar(input);
  if (!pack.ok()) return;
  auto is_high = [](char c) { return (c & 0x80) != 0; };
  fuzz::plant(std::ranges::any_of(pack->files.begin()->second, is_high));
  for (const auto& [path, bytes] : pack->files) {
    ASSERT(!path.empty() && !path.starts_with('/') && !path.ends_with('/'));
    ASSERT_MSG(("/" + path + "/").find("/../") == std::string::npos, path);
    auto slash = path.rfind('/');
    ASSERT(slash == std::string::npos || !pack->files.contains(path.substr(0, slash)));
  }
  auto again = read_tar(write_tar(pack->files, pack->folder));
  ASSERT(again.ok() && again->files == pack->files);
}

FUZZ(native_file) {
  auto found = read_native_file(input);
  if (!found) return;
  fuzz::plant(found->glibc.size() == 3);
  ASSERT(!is_newer_version(found->glibc, found->glibc));
}

// A line of JSON that a call gives, then the YAML of its action: what is accepted has the types
// that the action says, and a value that is secret stands in no message.
FUZZ(parameters) {
  fuzz::Reader in(input);
  auto given = parse_json(in.line());
  if (!given.ok()) return;
  static expr::Engine engine;
  PackFiles files = {{"pack.yaml", kPack},
                     {"actions/f.py", ""},
                     {"actions/f.yaml", "name: f\nrunner_type: python\nentry_point: f.py\n" +
                                            std::string(in.rest())}};
  auto report = check(files, engine);
  if (!report.errors.empty() || report.pack.actions.empty()) return;
  const Action& action = report.pack.actions[0];
  auto checked = check_parameters(action, *given, {}, engine);
  if (checked.ok()) {
    fuzz::plant(checked->size() < 2);
    for (const auto& secret : secret_values(action, *checked)) ASSERT(!secret.empty());
    auto shown = masked(action, *checked);
    for (const auto& parameter : action.parameters) {
      const Value* value = shown.find(parameter.name);
      if (parameter.secret && value) ASSERT(*value == Value("********") || value->is_null());
    }
    return;
  }
  std::string message = checked.error().describe();
  for (const auto& problem : checked.error().problems()) message += problem.message;
  for (const auto& parameter : action.parameters) {
    const Value* value = given->find(parameter.name);
    bool is_telling = value && value->is_string() && value->size() > 24;
    if (parameter.secret && is_telling) ASSERT_MSG(!message.contains(value->as_string()), message);
  }
}

}  // namespace
}  // namespace millrace::packs
