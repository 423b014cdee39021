// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/error_places.h"

#include <fmt/format.h>

#include <optional>

namespace millrace::engine {
namespace {

constexpr int kDeepest = 32;

struct Spot {
  std::string path;
  int line = 0;
};

// As the messages of both languages quote it.
std::string_view expression_in(std::string_view message) {
  for (std::string_view open : {"expression '<%", "expression '{{", "expression '{%"}) {
    size_t at = message.find(open);
    if (at == message.npos) continue;
    size_t begin = at + open.size() - 2;
    std::string_view close = open.ends_with("<%") ? "%>'" : open.ends_with("{{") ? "}}'" : "%}'";
    size_t end = message.find(close, begin);
    if (end != message.npos) return message.substr(begin, end + 2 - begin);
  }
  return {};
}

// The first text that holds it, in the order of the file.
std::optional<Spot> find_text(const YamlNode& node, std::string_view wanted, std::string path,
                              int depth) {
  if (node.value.is_string()) {
    if (!node.value.as_string().contains(wanted)) return std::nullopt;
    return Spot{std::move(path), node.line};
  }
  if (depth > kDeepest) return std::nullopt;
  for (size_t i = 0; i < node.children.size(); ++i) {
    const YamlNode& child = node.children[i];
    std::string below = node.value.is_list() ? fmt::format("{}[{}]", path, i)
                        : path.empty()       ? child.key
                                             : fmt::format("{}.{}", path, child.key);
    if (auto found = find_text(child, wanted, std::move(below), depth + 1)) return found;
  }
  return std::nullopt;
}

// A map of tasks, or a list of them with names.
const YamlNode* find_task(const YamlNode& tasks, std::string_view name, std::string& path) {
  if (const YamlNode* found = tasks.value.is_map() ? tasks.find(name) : nullptr) {
    path = fmt::format("{}.{}", tasks.key, name);
    return found;
  }
  for (size_t i = 0; i < tasks.children.size(); ++i) {
    if (tasks.children[i].value.string_or("name", "") != name) continue;
    path = fmt::format("{}[{}]", tasks.key, i);
    return &tasks.children[i];
  }
  return nullptr;
}

std::optional<Spot> spot_of(const YamlNode& document, const Value& error) {
  std::string_view wanted = expression_in(error.string_or("message", ""));
  if (wanted.empty()) return std::nullopt;
  std::string_view name = error.string_or("task_id", "");
  if (!name.empty()) {
    const YamlNode* tasks = document.find("tasks");
    if (!tasks) tasks = document.find("chain");
    std::string path;
    const YamlNode* task = tasks ? find_task(*tasks, name, path) : nullptr;
    return task ? find_text(*task, wanted, std::move(path), 0) : std::nullopt;
  }
  for (std::string_view part : {"input", "parameters", "vars", "output", "output_map"}) {
    const YamlNode* node = document.find(part);
    if (!node) continue;
    if (auto found = find_text(*node, wanted, std::string(part), 0)) return found;
  }
  return std::nullopt;
}

}  // namespace

void put_places(const YamlNode& document, Value& errors) {
  Value placed = Value::list();
  for (const Value& error : errors.as_list()) {
    auto spot = spot_of(document, error);
    Value copy = error;
    if (spot) {
      copy.set("spec_path", spot->path);
      copy.set("line", spot->line);
    }
    placed.push_back(std::move(copy));
  }
  errors = std::move(placed);
}

}  // namespace millrace::engine
