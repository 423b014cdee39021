// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::cli {
namespace {

const Option kData{"--data", "DIR", "Data folder of the server (MILLRACE_DATA, ./millrace-data)"};

std::vector<Option> remote_options() {
  return {
      kData,
      {"--url", "URL", "The server's address (MILLRACE_URL)"},
      {"--token-file", "FILE", "File that holds the token (or the token in MILLRACE_TOKEN)"},
      {"--profile", "NAME", "Profile of ~/.config/millrace/config.yaml"},
      {.name = "--output",
       .value = "FORMAT",
       .help = "table, json, yaml, jsonl",
       .letter = 'o',
       .choices = {"table", "json", "yaml", "jsonl"}},
  };
}

std::string usage_of(const Command& command) {
  std::string usage = "millrace " + command.path;
  for (const auto& argument : command.arguments) {
    std::string shown = argument.name + (argument.many ? "..." : "");
    usage += argument.optional ? fmt::format(" [{}]", shown) : " " + shown;
  }
  return usage + " [OPTIONS]";
}

std::string shown_option(const Option& option) {
  std::string text =
      option.letter ? fmt::format("-{}, {}", option.letter, option.name) : "    " + option.name;
  return option.value.empty() ? text : text + " " + option.value;
}

using HelpLines = std::vector<std::pair<std::string, std::string>>;

std::string aligned(const HelpLines& lines) {
  size_t width = 0;
  for (const auto& [name, help] : lines) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, help] : lines) text += fmt::format("  {:<{}}  {}\n", name, width, help);
  return text;
}

}  // namespace

std::vector<Option> options_of(const Command& command) {
  auto options = command.options;
  auto common = command.remote ? remote_options() : std::vector<Option>{kData};
  options.insert(options.end(), common.begin(), common.end());
  return options;
}

const std::string& Invocation::get(std::string_view name) const {
  static const std::string kNone;
  auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second.back();
}

const std::vector<std::string>& Invocation::all(std::string_view name) const {
  static const std::vector<std::string> kNone;
  auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second;
}

void Invocation::set(const std::string& name, std::vector<std::string> values) {
  if (!values.empty()) values_[name] = std::move(values);
}

Error usage_error(std::string message) {
  return Error(ErrorKind::Invalid, "CLI-0001", std::move(message));
}

std::vector<std::string> next_words(const CommandTable& commands, std::string_view path) {
  std::string prefix = path.empty() ? "" : std::string(path) + " ";
  std::vector<std::string> words;
  for (const auto& command : commands) {
    if (!command.path.starts_with(prefix)) continue;
    auto rest = command.path.substr(prefix.size());
    auto word = rest.substr(0, rest.find(' '));
    if (std::ranges::find(words, word) == words.end()) words.push_back(word);
  }
  return words;
}

std::string group_help(const CommandTable& commands, std::string_view group) {
  HelpLines lines;
  std::string prefix = group.empty() ? "" : std::string(group) + " ";
  for (const auto& command : commands) {
    if (command.path.starts_with(prefix)) lines.emplace_back(command.path, command.help);
  }
  return fmt::format("millrace {}COMMAND [OPTIONS]\n\n{}\n`millrace COMMAND --help` says more.\n",
                     prefix, aligned(lines));
}

std::string command_help(const Command& command) {
  HelpLines arguments;
  for (const auto& argument : command.arguments) {
    std::string choices = argument.choices.empty() || !argument.help.empty()
                              ? ""
                              : fmt::format("{}", fmt::join(argument.choices, ", "));
    arguments.emplace_back(argument.name, argument.help + choices);
  }
  HelpLines options;
  for (const auto& option : options_of(command)) {
    options.emplace_back(shown_option(option), option.help);
  }
  return fmt::format("{}\n\n{}.\n{}{}{}", usage_of(command), command.help,
                     arguments.empty() ? "" : "\n", aligned(arguments),
                     "\nOptions:\n" + aligned(options));
}

}  // namespace millrace::cli
