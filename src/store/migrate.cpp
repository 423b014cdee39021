// SPDX-License-Identifier: Apache-2.0
#include "store/migrate.h"

#include <fmt/format.h>

#include <charconv>

#include "kernel/rows.h"
#include "store/row_reader.h"
#include "store/schema.h"

namespace millrace::store {
namespace {

Result<void> note_version(sql::Connection& writer, size_t version) {
  TRY(auto* note, writer.prepare("INSERT INTO meta (name, value) VALUES ('schema', $1) "
                                 "ON CONFLICT (name) DO UPDATE SET value = $1"));
  TRY(note->execute(std::to_string(version)));
  return {};
}

// Nothing, when another server has made the step meanwhile.
Result<void> apply(sql::Connection& writer, size_t step) {
  auto applied = [&]() -> Result<void> {
    TRY(writer.run("BEGIN EXCLUSIVE"));
    TRY(writer.run(schema_steps()[step]));
    TRY(note_version(writer, step + 1));
    return writer.run("COMMIT");
  }();
  if (applied.ok()) return applied;
  if (writer.in_transaction()) (void)writer.run("ROLLBACK");
  auto version = schema_version(writer);
  bool is_made = version.ok() && *version > static_cast<int64_t>(step);
  return is_made ? Result<void>() : applied;
}

}  // namespace

int64_t newest_schema_version() { return static_cast<int64_t>(schema_steps().size()); }

Result<int64_t> schema_version(sql::Connection& connection) {
  auto found = query_one<std::string>(
      connection, "SELECT value FROM meta WHERE name = 'schema'",
      +[](RowReader read, std::string& value) { read >> value; });
  if (!found.ok() && found.error().code() == sql::kStatement) return int64_t{0};  // no table yet
  TRY(auto text, std::move(found));
  if (!text) return int64_t{0};
  int64_t version = 0;
  auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), version);
  if (bad != std::errc() || end != text->data() + text->size() || version < 0) {
    return Error(ErrorKind::Internal, sql::kDamaged,
                 fmt::format("the store's schema version is '{}', expected a number", *text));
  }
  return version;
}

Result<std::optional<std::string>> copy_under_way(sql::Connection& connection) {
  return query_one<std::string>(
      connection, "SELECT value FROM meta WHERE name = 'copying'",
      +[](RowReader read, std::string& value) { read >> value; });
}

Result<void> mark_copy(sql::Connection& writer, const std::string& state) {
  if (state.empty()) {
    TRY(auto* erase, writer.prepare("DELETE FROM meta WHERE name = 'copying'"));
    TRY(erase->execute());
    return {};
  }
  TRY(auto* note, writer.prepare("INSERT INTO meta (name, value) VALUES ('copying', $1)"));
  TRY(note->execute(state));
  return {};
}

Result<void> migrate(sql::Connection& writer, PartialCopy partial) {
  TRY(int64_t version, schema_version(writer));
  if (version > newest_schema_version()) {
    return Error(ErrorKind::Unsupported, sql::kNewer,
                 fmt::format("the store has schema {}, this binary knows {}: it was written by a "
                             "newer Millrace; start that one",
                             version, newest_schema_version()));
  }
  for (auto step = static_cast<size_t>(version); step < schema_steps().size(); ++step) {
    TRY(apply(writer, step));
  }
  TRY(auto copying, copy_under_way(writer));
  if (!copying || partial == PartialCopy::GoesOn) return {};
  return Error(ErrorKind::Conflict, sql::kUnfinished,
               fmt::format("the store is an unfinished copy of another ({}): let `millrace store "
                           "copy` finish it",
                           *copying));
}

}  // namespace millrace::store
