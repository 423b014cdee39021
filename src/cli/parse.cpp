// SPDX-License-Identifier: Apache-2.0
// The one source that knows CLI11: it reads the arguments and options of the command that the
// first words name.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "cli/command.h"

namespace millrace::cli {
namespace {

bool asks_for_help(const std::string& word) {
  return word == "--help" || word == "-h" || word == "help";
}

struct Found {
  const Command* command = nullptr;  // nullptr: help on `path`
  std::string path;
  size_t words = 0;
};

// What every program is asked.
bool asks_for_version(const std::string& word) { return word == "--version" || word == "-V"; }

Result<Found> find_command(const CommandTable& commands, const std::vector<std::string>& words) {
  if (!words.empty() && asks_for_version(words.front())) {
    return find_command(commands, {"version"});
  }
  Found found;
  for (;;) {
    for (const auto& command : commands) {
      if (command.path == found.path) found.command = &command;
    }
    auto known = next_words(commands, found.path);
    // `backup verify` is a command, `backup DIR` is one, too.
    bool goes_on =
        found.words < words.size() && std::ranges::find(known, words[found.words]) != known.end();
    if (found.command && !goes_on) return found;
    found.command = nullptr;
    std::string where = found.path.empty() ? "millrace" : "millrace " + found.path;
    if (found.words == words.size() || words[found.words].starts_with('-')) {
      if (found.words < words.size() && asks_for_help(words[found.words])) return found;
      return usage_error(fmt::format("{}: expected a command: {}", where, fmt::join(known, ", ")));
    }
    const auto& word = words[found.words];
    if (std::ranges::find(known, word) == known.end()) {
      if (asks_for_help(word)) return found;
      return usage_error(
          fmt::format("{}: unknown command '{}'{}", where, word, did_you_mean(word, known)));
    }
    found.path += (found.words == 0 ? "" : " ") + word;
    ++found.words;
  }
}

Result<void> check_choice(std::string_view name, const std::vector<std::string>& choices,
                          const std::vector<std::string>& values) {
  if (choices.empty()) return {};
  for (const auto& value : values) {
    if (std::ranges::find(choices, value) != choices.end()) continue;
    return usage_error(fmt::format("{}: expected one of {}, found '{}'{}", name,
                                   fmt::join(choices, ", "), value, did_you_mean(value, choices)));
  }
  return {};
}

// One command's arguments and options in CLI11's terms.
class Reader {
 public:
  explicit Reader(const Command& command) : command_(command), options_(options_of(command)) {
    app_.set_help_flag();
    for (const auto& argument : command.arguments) add(argument);
    for (const auto& option : options_) add(option);
  }

  Result<Invocation> read(std::vector<std::string> words) {
    std::ranges::reverse(words);  // as CLI11 wants them
    try {
      app_.parse(words);
    } catch (const CLI::ExtrasError&) {
      return unexpected(app_.remaining());
    } catch (const CLI::ParseError& error) {
      return usage_error(fmt::format("millrace {}: {}", command_.path, error.what()));
    }
    Invocation invocation(&command_);
    for (const auto& argument : command_.arguments) {
      TRY(check_not_empty(argument));
      TRY(check_choice(argument.name, argument.choices, values_[argument.name]));
      invocation.set(argument.name, values_[argument.name]);
    }
    for (const auto& option : options_) {
      if (option.value.empty() && flags_[option.name]) values_[option.name] = {"true"};
      TRY(check_choice(option.name, option.choices, values_[option.name]));
      invocation.set(option.name, values_[option.name]);
    }
    return invocation;
  }

 private:
  // "$REF" of a variable that is not set: it would name another thing, or all of them.
  Result<void> check_not_empty(const Argument& argument) {
    const auto& values = values_[argument.name];
    bool is_empty = !argument.optional && !values.empty() && values.front().empty();
    if (!is_empty) return {};
    return usage_error(fmt::format("millrace {}: {}: expected a text, found an empty one",
                                   command_.path, argument.name));
  }

  void add(const Argument& argument) {
    auto* added = app_.add_option(argument.name, values_[argument.name], argument.help);
    // CLI11 would let a vector take all words.
    if (!argument.many) added->allow_extra_args(false)->expected(1);
    if (!argument.optional) added->required();
  }

  void add(const Option& option) {
    std::string names = option.name;
    if (option.letter) names += fmt::format(",-{}", option.letter);
    if (option.value.empty()) {
      app_.add_flag(names, flags_[option.name], option.help);
      return;
    }
    auto* added = app_.add_option(names, values_[option.name], option.help);
    added->allow_extra_args(false);
    if (!option.repeats) added->expected(1);
    if (option.required) added->required();
  }

  Error unexpected(const std::vector<std::string>& words) const {
    const auto& word = words.front();
    if (!word.starts_with('-')) {
      return usage_error(fmt::format("millrace {}: unexpected '{}'", command_.path, word));
    }
    std::vector<std::string> names{"--help"};
    for (const auto& option : options_) names.push_back(option.name);
    auto name = word.substr(0, word.find('='));
    return usage_error(fmt::format("millrace {}: unknown option '{}'{}", command_.path, name,
                                   did_you_mean(name, names)));
  }

  const Command& command_;
  const std::vector<Option> options_;
  CLI::App app_;
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, bool> flags_;
};

}  // namespace

std::string path_in(const CommandTable& commands, const std::vector<std::string>& words) {
  std::string path;
  for (const auto& word : words) {
    auto known = next_words(commands, path);
    if (std::ranges::find(known, word) == known.end()) break;
    path += (path.empty() ? "" : " ") + word;
  }
  return path;
}

Result<Invocation> parse(const CommandTable& commands, const std::vector<std::string>& words) {
  TRY(auto found, find_command(commands, words));
  Invocation help;
  if (!found.command) {
    help.help = group_help(commands, found.path);
    return help;
  }
  std::vector<std::string> rest(words.begin() + static_cast<std::ptrdiff_t>(found.words),
                                words.end());
  auto end = std::ranges::find(rest, "--");
  if (std::find(rest.begin(), end, "--help") != end || std::find(rest.begin(), end, "-h") != end) {
    help.help = command_help(*found.command);
    return help;
  }
  return Reader(*found.command).read(std::move(rest));
}

}  // namespace millrace::cli
