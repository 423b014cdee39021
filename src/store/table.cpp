// SPDX-License-Identifier: Apache-2.0
#include "store/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::store {
namespace {

void append(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

std::string with_tail(std::string text, std::string_view tail) {
  if (!tail.empty()) {
    text += ' ';
    text += tail;
  }
  return text;
}

}  // namespace

std::string select_text(std::string_view table, std::span<const ColumnText> columns, Columns which,
                        std::string_view tail) {
  std::string names;
  for (const auto& column : columns) {
    bool wanted = which == Columns::All || !column.is_body;
    if (column.is_read && wanted) append(names, column.name);
  }
  return with_tail(fmt::format("SELECT {} FROM {}", names, table), tail);
}

std::string insert_text(std::string_view table, std::span<const ColumnText> columns,
                        std::string_view tail) {
  std::string names;
  std::string values;
  int number = 0;
  for (const auto& column : columns) {
    append(names, column.name);
    append(values, fmt::format("${}", ++number));
  }
  return with_tail(fmt::format("INSERT INTO {} ({}) VALUES ({})", table, names, values), tail);
}

std::string update_text(std::string_view table, std::span<const ColumnText> columns,
                        std::string_view where) {
  std::string sets;
  auto number = std::ranges::count(where, '$');
  for (const auto& column : columns) {
    if (column.changes) append(sets, fmt::format("{} = ${}", column.name, ++number));
  }
  return fmt::format("UPDATE {} SET {} {}", table, sets, where);
}

std::string excluded_text(std::span<const ColumnText> columns) {
  std::string sets;
  for (const auto& column : columns) {
    if (column.changes) append(sets, fmt::format("{0} = excluded.{0}", column.name));
  }
  return sets;
}

}  // namespace millrace::store
