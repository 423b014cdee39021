// SPDX-License-Identifier: Apache-2.0
// The command tree as data: what a command is called, takes and does. The parser, the help texts
// and the completion scripts all come from one table of these.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::cli {

class Invocation;
struct Context;

struct Argument {
  std::string name;  // "ID"
  std::string help;
  bool optional = false;
  bool many = false;                 // takes all words that are left; only the last one may
  std::vector<std::string> choices;  // empty: anything
};

struct Option {
  std::string name;   // "--file"
  std::string value;  // "FILE"; "" is a flag
  std::string help;
  char letter = 0;  // 'f' is -f
  bool repeats = false;
  std::vector<std::string> choices;
  bool required = false;
};

// Both give the exit code; an Error is printed with its hint and mapped to one.
using LocalHandler = std::function<Result<int>(const Invocation&)>;
using RemoteHandler = std::function<Result<int>(Context&)>;

// Exactly one handler is set.
struct Command {
  std::string path;  // "execution list"
  std::string help;
  std::vector<Argument> arguments;
  std::vector<Option> options;  // without those that every command takes, see options_of
  LocalHandler local;           // works without a server
  RemoteHandler remote;         // is given a session with one
};

using CommandTable = std::vector<Command>;

// Its own options and those that every command of its kind takes.
std::vector<Option> options_of(const Command& command);

// A command line that was understood: values by the name of the argument or option.
class Invocation {
 public:
  explicit Invocation(const Command* command = nullptr) : command_(command) {}

  // nullptr: the user asked for help, which `help` holds.
  const Command* command() const { return command_; }
  std::string help;

  bool has(std::string_view name) const { return values_.contains(name); }
  // The last value, or "".
  const std::string& get(std::string_view name) const;
  const std::vector<std::string>& all(std::string_view name) const;
  void set(const std::string& name, std::vector<std::string> values);

 private:
  const Command* command_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

// Errors of usage: Invalid, CLI-0001.
Error usage_error(std::string message);

// `words` without the program's name. Errors: usage.
Result<Invocation> parse(const CommandTable& commands, const std::vector<std::string>& words);

// The group or command that the first words name: the place that help is about.
std::string path_in(const CommandTable& commands, const std::vector<std::string>& words);

// The commands below `group` ("" is all), one line each.
std::string group_help(const CommandTable& commands, std::string_view group);
std::string command_help(const Command& command);

// The words that may follow `path`: "execution" is followed by "list", "show", ... In order.
std::vector<std::string> next_words(const CommandTable& commands, std::string_view path);

}  // namespace millrace::cli
