// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::cli {
namespace {

// All paths at which a word is expected: "", the groups and the commands.
std::vector<std::string> all_paths(const CommandTable& commands) {
  std::vector<std::string> paths{""};
  for (const auto& command : commands) {
    for (size_t end = 0; end != std::string::npos;) {
      end = command.path.find(' ', end + 1);
      auto path = command.path.substr(0, end);
      if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
    }
  }
  return paths;
}

const Command* command_at(const CommandTable& commands, std::string_view path) {
  auto found = std::ranges::find(commands, path, &Command::path);
  return found == commands.end() ? nullptr : &*found;
}

// What may stand after `path`: words of the tree, or a command's options and choices.
std::vector<std::string> candidates(const CommandTable& commands, std::string_view path) {
  const auto* command = command_at(commands, path);
  if (!command) return next_words(commands, path);
  std::vector<std::string> words;
  for (const auto& argument : command->arguments) {
    words.insert(words.end(), argument.choices.begin(), argument.choices.end());
  }
  for (const auto& option : options_of(*command)) words.push_back(option.name);
  words.emplace_back("--help");
  return words;
}

// Lines of a `case` over the word before: the values of options that have choices.
std::string choice_lines(const CommandTable& commands) {
  std::string lines;
  for (const auto& command : commands) {
    for (const auto& option : options_of(command)) {
      auto names =
          option.letter ? fmt::format("{}|-{})", option.name, option.letter) : option.name + ")";
      if (option.choices.empty() || lines.find("    " + names) != std::string::npos) continue;
      lines += fmt::format("    {} list=\"{}\" ;;\n", names, fmt::join(option.choices, " "));
    }
  }
  return lines;
}

// What bash and zsh share: `before` is the word before, `given` the words from the first on.
// A word belongs to the path as long as the path with it is known.
std::string find_list(const CommandTable& commands) {
  std::string known;
  std::string lists;
  for (const auto& path : all_paths(commands)) {
    if (!path.empty()) known += fmt::format("{}\"{}\"", known.empty() ? "" : "|", path);
    lists += fmt::format("      \"{}\") list=\"{}\" ;;\n", path,
                         fmt::join(candidates(commands, path), " "));
  }
  return fmt::format(R"(  local at="" list="" word next
  for word in "${{given[@]}}"; do
    next="${{at:+$at }}$word"
    case "$next" in {}) at="$next" ;; *) break ;; esac
  done
  case "$before" in
{}    *) case "$at" in
{}    esac ;;
  esac
)",
                     known, choice_lines(commands), lists);
}

std::string bash_script(const CommandTable& commands) {
  return R"(# bash completion for millrace: source <(millrace completion bash)
_millrace() {
  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
  local given=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
)" + find_list(commands) +
         R"(  mapfile -t COMPREPLY < <(compgen -W "$list" -- "$current")
}
complete -o default -F _millrace millrace
)";
}

std::string zsh_script(const CommandTable& commands) {
  return R"(#compdef millrace
# zsh completion for millrace: source <(millrace completion zsh)
_millrace() {
  local before="${words[CURRENT-1]}"
  local -a given=("${(@)words[2,CURRENT-1]}")
)" + find_list(commands) +
         R"(  compadd -- ${=list} || _files
}
compdef _millrace millrace
)";
}

std::string quoted_for_fish(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

// `at PATH`: exactly there; `at PATH inside`: anywhere after it.
constexpr std::string_view kFishHead = R"(# fish completion for millrace:
#   millrace completion fish | source
function __millrace_at
  set -l given (commandline -opc)[2..]
  set -l wanted (string split -n ' ' -- $argv[1])
  set -l depth (count $wanted)
  test (count $given) -ge $depth; or return 1
  test $depth -eq 0; or test "$given[1..$depth]" = "$argv[1]"; or return 1
  test "$argv[2]" = inside; or test (count $given) -eq $depth
end
)";

std::string fish_option(const std::string& path, const Option& option) {
  auto line = fmt::format("complete -c millrace -n \"__millrace_at '{}' inside\" -l {}", path,
                          option.name.substr(2));
  if (option.letter) line += fmt::format(" -s {}", option.letter);
  if (!option.value.empty()) line += " -r";
  if (!option.choices.empty()) line += fmt::format(" -f -a '{}'", fmt::join(option.choices, " "));
  return line + " -d " + quoted_for_fish(option.help) + "\n";
}

std::string fish_script(const CommandTable& commands) {
  std::string script(kFishHead);
  for (const auto& path : all_paths(commands)) {
    for (const auto& word : next_words(commands, path)) {
      const auto* command = command_at(commands, path.empty() ? word : path + " " + word);
      script += fmt::format("complete -c millrace -f -n \"__millrace_at '{}'\" -a {}{}\n", path,
                            word, command ? " -d " + quoted_for_fish(command->help) : "");
    }
  }
  for (const auto& command : commands) {
    for (const auto& argument : command.arguments) {
      if (argument.choices.empty()) continue;
      script += fmt::format("complete -c millrace -n \"__millrace_at '{}' inside\" -f -a '{}'\n",
                            command.path, fmt::join(argument.choices, " "));
    }
    for (const auto& option : options_of(command)) script += fish_option(command.path, option);
  }
  return script;
}

}  // namespace

Result<std::string> completion_script(const CommandTable& commands, std::string_view shell) {
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh") return zsh_script(commands);
  if (shell == "fish") return fish_script(commands);
  return usage_error(fmt::format("completion: expected bash, zsh or fish, found '{}'", shell));
}

}  // namespace millrace::cli
