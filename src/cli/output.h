// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/value.h"

namespace millrace::cli {

enum class Format : uint8_t { Table, Json, Yaml, JsonLines };
Format parse_format(std::string_view text);  // "" is Table

enum class Look : uint8_t { Plain, Status, Time, DurationMs, Flag };

struct Column {
  std::string_view header;
  std::string_view path;  // "trigger.ref"
  Look look = Look::Plain;
};
using Columns = std::span<const Column>;

// Prints values as the user asked for.
struct Style {
  Format format = Format::Table;
  bool colour = false;  // of stdout: a terminal, and no NO_COLOR

  std::string rows(Columns columns, const ValueList& rows) const;
  // One object: in a table, a line per entry; what is nested stands below, as YAML.
  std::string object(const Value& value) const;
};

// The text with the colour of an execution's status or of "yes" and "no".
std::string painted(std::string_view text, std::string_view status, bool colour);

// "12 ms", "1.5 s", "2 m 05 s".
std::string duration_text(int64_t ms);

// What stands at a dotted path, or null.
const Value& value_at(const Value& value, std::string_view path);

}  // namespace millrace::cli
