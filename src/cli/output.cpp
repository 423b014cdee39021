// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

namespace millrace::cli {
namespace {

// Control characters in data must not reach the terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return out;
}

std::string plain_text(const Value& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return printable(value.as_string());
  if (value.is_list()) {
    std::string text;
    for (const auto& item : value.as_list()) {
      text += (text.empty() ? "" : ", ") + plain_text(item);
    }
    return text;
  }
  return to_json(value);
}

// "2026-01-31T12:00:00.250Z" as "2026-01-31 12:00:00Z".
std::string time_text(std::string_view rfc3339) {
  if (rfc3339.size() < 19) return std::string(rfc3339);
  return fmt::format("{} {}Z", rfc3339.substr(0, 10), rfc3339.substr(11, 8));
}

std::string cell_text(const Column& column, const Value& row) {
  const auto& value = value_at(row, column.path);
  switch (column.look) {
    case Look::Time: return value.is_string() ? time_text(value.as_string()) : "";
    case Look::DurationMs: return value.is_int() ? duration_text(value.as_int()) : "";
    case Look::Flag: return value.is_bool() ? (value.as_bool() ? "yes" : "no") : "";
    case Look::Plain:
    case Look::Status: break;
  }
  return plain_text(value);
}

// Characters, not bytes: the width of a cell on the terminal, near enough.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string table(Columns columns, const ValueList& rows, bool colour) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> widths;
  for (const auto& column : columns) widths.push_back(width_of(column.header));
  for (const auto& row : rows) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      line.push_back(cell_text(columns[i], row));
      widths[i] = std::max(widths[i], width_of(line.back()));
    }
  }
  std::string out;
  auto append = [&](size_t i, std::string_view text, std::string_view shown) {
    out += shown;
    bool is_last = i + 1 == columns.size();
    out += is_last ? "\n" : std::string(widths[i] - width_of(text) + 2, ' ');
  };
  for (size_t i = 0; i < columns.size(); ++i) append(i, columns[i].header, columns[i].header);
  for (const auto& line : cells) {
    for (size_t i = 0; i < columns.size(); ++i) {
      bool paints = columns[i].look == Look::Status || columns[i].look == Look::Flag;
      append(i, line[i], paints ? painted(line[i], line[i], colour) : line[i]);
    }
  }
  return out;
}

std::string indented(std::string_view text) {
  std::string out;
  for (auto line : split(text, '\n')) {
    if (!line.empty()) out += fmt::format("  {}\n", line);
  }
  return out;
}

bool is_nested(const Value& value) {
  if (value.is_string()) return value.as_string().find('\n') != std::string_view::npos;
  return value.is_map() || value.is_list();
}

std::string lines_of(const Value& value, bool colour) {
  if (!value.is_map()) return plain_text(value) + "\n";
  size_t width = 0;
  for (const auto& entry : value.as_map()) {
    if (!is_nested(entry.value)) width = std::max(width, entry.name().size() + 1);
  }
  std::string out;
  for (const auto& entry : value.as_map()) {
    bool has_size = entry.value.is_string() || is_nested(entry.value);
    if (entry.value.is_null() || (has_size && entry.value.size() == 0)) continue;
    std::string name = std::string(entry.name()) + ":";
    if (is_nested(entry.value)) {
      out += name + "\n" +
             indented(entry.value.is_string() ? entry.value.as_string() : to_yaml(entry.value));
    } else {
      auto text = plain_text(entry.value);
      out += fmt::format("{:<{}}  {}\n", name, width,
                         entry.name() == "status" ? painted(text, text, colour) : text);
    }
  }
  return out;
}

}  // namespace

Format parse_format(std::string_view text) {
  if (text == "json") return Format::Json;
  if (text == "yaml") return Format::Yaml;
  return text == "jsonl" ? Format::JsonLines : Format::Table;
}

std::string Style::rows(Columns columns, const ValueList& rows) const {
  switch (format) {
    case Format::Table: return table(columns, rows, colour);
    case Format::Json: return to_pretty_json(Value(rows)) + "\n";
    case Format::Yaml: return to_yaml(Value(rows));
    case Format::JsonLines: break;
  }
  std::string out;
  for (const auto& row : rows) out += to_json(row) + "\n";
  return out;
}

std::string Style::object(const Value& value) const {
  switch (format) {
    case Format::Table: return lines_of(value, colour);
    case Format::Json: return to_pretty_json(value) + "\n";
    case Format::Yaml: return to_yaml(value);
    case Format::JsonLines: break;
  }
  return to_json(value) + "\n";
}

std::string painted(std::string_view text, std::string_view status, bool colour) {
  constexpr std::string_view kGood[] = {"succeeded", "yes", "matched"};
  constexpr std::string_view kBad[] = {"failed", "timeout", "abandoned", "needs_decision"};
  std::string_view code = "33";
  if (std::ranges::find(kGood, status) != std::end(kGood)) code = "32";
  if (std::ranges::find(kBad, status) != std::end(kBad)) code = "31";
  if (!colour || text.empty() || status == "no") return std::string(text);
  return fmt::format("\033[{}m{}\033[0m", code, text);
}

std::string duration_text(int64_t ms) {
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 60'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  int64_t seconds = ms / 1000;
  if (seconds < 3600) return fmt::format("{} m {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} m", seconds / 3600, seconds / 60 % 60);
}

const Value& value_at(const Value& value, std::string_view path) {
  const Value* found = &value;
  for (auto part : split(path, '.')) found = &(*found)[part];
  return *found;
}

}  // namespace millrace::cli
