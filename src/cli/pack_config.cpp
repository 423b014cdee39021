// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <span>

#include "base/files.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/text.h"
#include "base/yaml.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kPacks = "/api/v1/packs";

std::string config_path(const Context& context) {
  return path_of(kPacks, context.in.get("PACK"), "/config");
}

// `a.b`: of a map in a map.
using Place = std::vector<std::string_view>;

const Value* value_in(const Value& values, const Place& place) {
  const Value* found = &values;
  for (std::string_view name : place) {
    found = found->is_map() ? found->find(name) : nullptr;
    if (!found) return nullptr;
  }
  return found;
}

// With `value` at the place; null: without it.
Value with_value(const Value& values, std::span<const std::string_view> place, const Value* value) {
  Value out = values.is_map() ? values : Value::map();
  Value inside = value ? *value : Value();
  if (place.size() > 1) inside = with_value(out[place[0]], place.subspan(1), value);
  if (place.size() == 1 && !value) {
    Value without = Value::map();
    for (const auto& entry : out.as_map()) {
      if (entry.name() != place[0]) without.set(entry.name(), entry.value);
    }
    return without;
  }
  out.set(place[0], std::move(inside));
  return out;
}

struct Described {
  Value schema = Value::map();
  bool is_secret = false;
};

Described described(const Value& schema, const Place& place) {
  Described out{.schema = schema};
  for (std::string_view name : place) {
    auto found = member_schemas(out.schema, name);
    Value next = found.empty() ? Value::map() : *found.front();
    out.schema = std::move(next);
    out.is_secret = out.is_secret || out.schema.bool_or("secret", false);
  }
  return out;
}

void tell_open(const Context& context, const Value& config) {
  std::string text;
  for (std::string_view name : {"missing", "problems"}) {
    const Value& list = config[name];
    if (!list.is_list()) continue;
    for (const Value& one : list.as_list()) {
      text += fmt::format("  {}{}\n", name == "missing" ? "is required, and not there: " : "",
                          one.as_string());
    }
  }
  if (!text.empty()) context.print(text);
}

Result<Value> put_config(Context& context, const Value& before, Value values) {
  Session::Request request{.method = "PUT",
                           .path = config_path(context),
                           .body = Value::map({{"values", std::move(values)}}),
                           .takes_key = true};
  int64_t version = before.int_or("version", 0);
  if (version == 0) {
    request.headers.emplace_back("If-None-Match", "*");
  } else {
    request.headers.emplace_back("If-Match", fmt::format("\"{}\"", version));
  }
  return context.session.send(std::move(request));
}

Result<int> show_config(Context& context) {
  TRY(auto config, context.session.get(config_path(context)));
  if (!context.is_table()) {
    context.print_object(config);
    return kOk;
  }
  context.print(config["values"].size() == 0 ? "" : to_yaml(config["values"]));
  tell_open(context, config);
  return kOk;
}

Result<int> get_config(Context& context) {
  TRY(auto config, context.session.get(config_path(context)));
  const auto& key = context.in.get("KEY");
  const Value* value = value_in(config["values"], split(key, '.'));
  if (!value) {
    return Error(
        ErrorKind::NotFound, "API-0070",
        fmt::format("the configuration of pack '{}' has no '{}'", context.in.get("PACK"), key));
  }
  context.print((value->is_string() ? std::string(value->as_string()) : to_json(*value)) + "\n");
  return kOk;
}

Result<Value> value_to_set(const Invocation& in, const Described& described) {
  if (in.has("VALUE") == in.has("--file")) {
    return usage_error("expected either VALUE or --file FILE");
  }
  std::string text = in.get("VALUE");
  if (in.has("--file")) {
    TRY(text, read_line_text(in.get("--file")));
  }
  bool is_template = text.find("st2kv") != std::string::npos;
  if (described.is_secret && in.has("VALUE") && !is_template) {
    return usage_error(
        fmt::format("'{}' is secret: a command line can be seen by others, so it is "
                    "taken from --file FILE (- is stdin)",
                    in.get("KEY")));
  }
  if (is_template) return Value(text);
  return typed_value(in.get("KEY"), described.schema, text);
}

void tell_set(const Context& context, const Value& config) {
  if (!context.is_table()) return context.print_object(config);
  context.print(fmt::format("the configuration of pack '{}' is at version {}\n",
                            config.string_or("pack", ""), config.int_or("version", 0)));
  tell_open(context, config);
}

Result<int> set_config(Context& context) {
  TRY(auto config, context.session.get(config_path(context)));
  auto place = split(context.in.get("KEY"), '.');
  TRY(auto value, value_to_set(context.in, described(config["schema"], place)));
  TRY(auto now, put_config(context, config, with_value(config["stored"], place, &value)));
  tell_set(context, now);
  return kOk;
}

Result<int> unset_config(Context& context) {
  TRY(auto config, context.session.get(config_path(context)));
  auto place = split(context.in.get("KEY"), '.');
  if (!value_in(config["stored"], place)) {
    return Error(ErrorKind::NotFound, "API-0070",
                 fmt::format("'{}' was not set for pack '{}': what it is comes from its files",
                             context.in.get("KEY"), context.in.get("PACK")));
  }
  TRY(auto now, put_config(context, config, with_value(config["stored"], place, nullptr)));
  tell_set(context, now);
  return kOk;
}

std::string editor() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* value = std::getenv(name);
    if (value && *value) return value;
  }
  return "vi";
}

// What the user makes of the text in an editor. The file is the user's alone.
Result<std::string> edited(std::string_view text) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = fmt::format("{}/millrace-XXXXXX.yaml", folder && *folder ? folder : "/tmp");
  constexpr int kSuffix = 5;
  Fd file(::mkstemps(path.data(), kSuffix));
  bool is_written = file && write_all(file.get(), text) == text.size();
  file = Fd();
  std::string command = fmt::format("{} '{}'", editor(), path);
  int status = is_written ? std::system(command.c_str()) : -1;
  auto made = read_file(path, 1 << 20);
  ::unlink(path.c_str());
  if (status == 0) return made;
  return Error(
      ErrorKind::Conflict, "CLI-0008",
      fmt::format("'{}' has failed, and nothing was changed: $EDITOR says which editor", command));
}

Result<int> edit_config(Context& context) {
  TRY(auto config, context.session.get(config_path(context)));
  const Value& stored = config["stored"];
  std::string text = fmt::format(
      "# What is set for pack '{}', over its files: `millrace pack config show {}`.\n"
      "# ******** keeps the secret that is there. What is taken out is no longer set.\n{}",
      context.in.get("PACK"), context.in.get("PACK"), stored.size() > 0 ? to_yaml(stored) : "");
  TRY(auto made, edited(text));
  TRY(auto tree, parse_yaml(made, "the configuration"));
  Value values = tree.value.is_null() ? Value::map() : tree.value;
  if (values == stored) {
    context.print("nothing was changed\n");
    return kOk;
  }
  TRY(auto now, put_config(context, config, std::move(values)));
  tell_set(context, now);
  return kOk;
}

}  // namespace

CommandTable pack_config_commands() {
  const Argument pack{"PACK", ""};
  const Argument key{"KEY", "A name, or NAME.NAME of a map in a map"};
  return {
      {.path = "pack config show",
       .help = "Show what a pack is configured with; secrets are hidden",
       .arguments = {pack},
       .remote = show_config},
      {.path = "pack config get",
       .help = "Print one value of a pack's configuration",
       .arguments = {pack, key},
       .remote = get_config},
      {.path = "pack config set",
       .help = "Set a value of a pack's configuration: the next run gets it",
       .arguments = {pack,
                     key,
                     {.name = "VALUE",
                      .help = "As its schema says; {{ st2kv.system.x }} reads a key",
                      .optional = true}},
       .options = {{"--file", "FILE", "Holds the value, without its last line end; - is stdin"}},
       .remote = set_config},
      {.path = "pack config unset",
       .help = "Take back what was set: what the files say counts again",
       .arguments = {pack, key},
       .remote = unset_config},
      {.path = "pack config edit",
       .help = "Edit what is set for a pack, as YAML, in $EDITOR",
       .arguments = {pack},
       .remote = edit_config},
  };
}

}  // namespace millrace::cli
