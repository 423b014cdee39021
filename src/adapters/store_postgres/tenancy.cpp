// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/tenancy.h"

#include <endian.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "base/text.h"

namespace millrace::store_postgres {
namespace {

constexpr std::string_view kWithoutTenants[] = {"meta", "shard", "server", "lease", "commit_mark"};

bool is_of_a_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The word behind the first `keyword`.
std::string_view word_behind(std::string_view text, std::string_view keyword) {
  size_t at = text.find(keyword);
  if (at == text.npos) return {};
  text.remove_prefix(at + keyword.size());
  return text.substr(
      0, static_cast<size_t>(std::ranges::find_if_not(text, is_of_a_name) - text.begin()));
}

std::string_view table_of(std::string_view text) {
  for (std::string_view keyword : {"INSERT INTO ", "UPDATE ", "FROM "}) {
    if (auto table = word_behind(text, keyword); !table.empty()) return table;
  }
  return {};
}

// `$12` begins the text; 0: it does not.
int parameter_at(std::string_view text) {
  int number = 0;
  if (text.starts_with('$')) {
    std::from_chars(text.data() + 1, text.data() + text.size(), number);
  }
  return number;
}

// In the brackets behind `from`, one after the other.
std::vector<std::string_view> list_behind(std::string_view text, size_t from) {
  size_t open = text.find('(', from);
  size_t end = text.find(')', open);
  if (open == text.npos || end == text.npos) return {};
  auto parts = split(text.substr(open + 1, end - open - 1), ',');
  for (auto& part : parts) part = trim(part);
  return parts;
}

int parameter_of_insert(std::string_view text) {
  auto columns = list_behind(text, 0);
  auto column = std::ranges::find(columns, "tenant");
  auto values = list_behind(text, text.find("VALUES"));
  auto place = static_cast<size_t>(column - columns.begin());
  return place < values.size() ? parameter_at(values[place]) : 0;
}

int parameter_of_condition(std::string_view text) {
  constexpr std::string_view kCondition = "tenant = $";
  size_t at = text.find(kCondition);
  return at == text.npos ? 0 : parameter_at(text.substr(at + kCondition.size() - 1));
}

}  // namespace

Tenancy tenancy_of(std::string_view text) {
  if (text.find("/*every tenant") != text.npos) return {Tenancy::Of::Every};
  bool is_insert = text.starts_with("INSERT");
  auto table = table_of(text);
  bool has_none = table.empty() || table.starts_with("pg_") || text.starts_with("FETCH") ||
                  std::ranges::find(kWithoutTenants, table) != std::end(kWithoutTenants);
  if (has_none) return {Tenancy::Of::Nobody};
  int parameter = is_insert ? parameter_of_insert(text) : parameter_of_condition(text);
  if (parameter == 0) return {Tenancy::Of::Unbound};
  return {Tenancy::Of::Bound, parameter};
}

std::optional<std::string> tenants_of(const Tenancy& tenancy, const Rows& rows) {
  switch (tenancy.of) {
    case Tenancy::Of::Nobody: return std::nullopt;
    case Tenancy::Of::Every: return "*";
    case Tenancy::Of::Unbound: return "{}";
    case Tenancy::Of::Bound: break;
  }
  std::set<int64_t> tenants;
  auto place = static_cast<size_t>(tenancy.parameter) - 1;
  for (size_t i = 0; i < rows.count(); ++i) {
    auto row = rows.row(i);
    if (place >= row.size() || row[place].kind != Rows::Kind::Int) continue;
    uint64_t number = 0;
    std::memcpy(&number, row[place].number, sizeof number);
    tenants.insert(static_cast<int64_t>(be64toh(number)));
  }
  return fmt::format("{{{}}}", fmt::join(tenants, ","));
}

// The setting is read for each row. Read once for each statement (a sub-select) it costs more: most
// statements find one row, and a walk over many was no faster.
std::string row_security_script(bool on) {
  constexpr std::string_view kEach = R"(
DO $do$
DECLARE t name;
BEGIN
  FOR t IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind = 'r'
    AND a.attname = 'tenant' AND NOT a.attisdropped AND c.relforcerowsecurity <> {0}
  LOOP
    EXECUTE format('{1}', t);
  END LOOP;
END $do$)";
  constexpr std::string_view kOn =
      "CREATE POLICY of_tenants ON %1$I USING ("
      "current_setting(''millrace.tenants'', true) = ''*'' OR tenant = ANY ("
      "nullif(current_setting(''millrace.tenants'', true), ''*'')::bigint[])); "
      "ALTER TABLE %1$I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
  constexpr std::string_view kOff =
      "DROP POLICY IF EXISTS of_tenants ON %1$I; "
      "ALTER TABLE %1$I DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY";
  return fmt::format(fmt::runtime(kEach), on, on ? kOn : kOff);
}

}  // namespace millrace::store_postgres
