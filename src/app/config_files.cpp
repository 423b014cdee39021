// SPDX-License-Identifier: Apache-2.0
#include "app/config_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "base/yaml.h"
#include "packs/config.h"

namespace millrace::app {
namespace {

constexpr size_t kLargestConfigFile = 1 << 20;

void tell_config_fault(Pack& pack, const std::string& file, std::string place,
                       std::string message) {
  log_warn("pack.config_faulty", {{"pack", pack.ref}, {"at", file}, {"problem", message}});
  pack.faults.push_back({std::move(place), std::move(message)});
}

}  // namespace

void ConfigFiles::configure(Pack& pack) {
  if (folder_.empty()) return;
  std::string name = fmt::format("configs/{}.yaml", pack.ref);
  std::string file = fmt::format("{}/{}.yaml", folder_, pack.ref);
  std::error_code ec;
  if (!std::filesystem::exists(file, ec) && !ec) {
    last_.erase(pack.ref);
    return;
  }
  auto text = read_file(file, kLargestConfigFile);
  auto tree = text.ok() ? parse_yaml(*text, name) : Result<YamlNode>(text.error());
  bool is_map = tree.ok() && (tree->value.is_map() || tree->value.is_null());
  if (is_map) {
    Value values = tree->value.is_map() ? tree->value : Value::map();
    for (const auto& problems : {packs::config_problems(pack.config_schema, values),
                                 packs::unknown_config(pack.config_schema, values)}) {
      for (const auto& one : problems) {
        tell_config_fault(pack, file, fmt::format("{}:{}", name, tree->line_of(one.path)),
                          one.message);
      }
    }
    last_.insert_or_assign(pack.ref, std::move(values));
  } else if (tree.ok()) {
    tell_config_fault(pack, file, name + ":1",
                      fmt::format("expected a map, found {}", tree->value.type_name()));
  } else if (tree.error().problems().empty()) {
    tell_config_fault(pack, file, name + ":1", tree.error().message());
  } else {
    for (const auto& one : tree.error().problems())
      tell_config_fault(pack, file, one.path, one.message);
  }
  auto last = last_.find(pack.ref);
  if (last == last_.end()) return;
  pack.config = packs::with_defaults(pack.config_schema, packs::merged(pack.config, last->second));
}

}  // namespace millrace::app
