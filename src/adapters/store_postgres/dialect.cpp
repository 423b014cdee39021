// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/dialect.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::store_postgres {

// Where a table is large its plans are right anyway, and its key would take long to be made again.
const std::string_view kOlderKeys =
    "FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = "
    "current_schema() AND c.contype = 'p' AND pg_relation_size(c.conrelid) < 67108864 AND "
    "EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indexrelid > c.conindid)";

namespace {

// Up to the end of a word, or of what stands in its place.
std::string_view word_at(std::string_view text, size_t at) {
  return text.substr(at, text.find_first_of(" ,", at) - at);
}

// "status = $2 AND id > $3 AND id < $4 ... ORDER BY status, id" becomes
// "(status, id) > ($2, $3) AND (status, id) < ($2, $4) ... ORDER BY status, id".
void ask_for_rows(std::string& text) {
  constexpr std::string_view kOrder = " ORDER BY ";
  size_t order = text.find(kOrder);
  if (order == text.npos) return;
  auto column = word_at(text, order + kOrder.size());
  size_t begin = text.find(fmt::format(" {} = ", column));
  if (begin == text.npos) return;
  size_t at = begin;
  auto value_behind = [&](std::string_view words) -> std::string_view {
    if (text.compare(at, words.size(), words) != 0) return {};
    auto value = word_at(text, at + words.size());
    at += words.size() + value.size();
    return value;
  };
  auto common = value_behind(fmt::format(" {} = ", column));
  auto above = value_behind(" AND id > ");
  auto below = value_behind(" AND id < ");
  if (above.empty() || below.empty()) return;
  auto rows = fmt::format(" ({0}, id) > ({1}, {2}) AND ({0}, id) < ({1}, {3})", column, common,
                          above, below);
  text.replace(begin, at - begin, rows);
}

}  // namespace

std::string to_dialect(std::string_view script) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"BIGINT_KEY", "BIGINT"},           {" BYTES ", " BYTEA "},
      {" TEXT ", " TEXT COLLATE \"C\" "}, {"BEGIN IMMEDIATE", "BEGIN"},
      {"BEGIN EXCLUSIVE", kBeginAlone},
  };
  std::string out(script);
  for (auto [from, to] : kWords) {
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size()) {
      out.replace(at, from.size(), to);
    }
  }
  ask_for_rows(out);
  return out;
}

std::string keys_last_script() {
  return fmt::format(R"(
DO $do$
DECLARE k record;
BEGIN
  FOR k IN SELECT c.conrelid::regclass AS of, c.conname AS name, pg_get_constraintdef(c.oid) AS key
    {}
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s',
                   k.of, k.name, k.key);
  END LOOP;
END $do$)",
                     kOlderKeys);
}

Verb verb_of(std::string_view text) {
  if (text.starts_with("BEGIN")) return Verb::Begin;
  if (text == "COMMIT") return Verb::Commit;
  if (text == "ROLLBACK") return Verb::Rollback;
  return Verb::Other;
}

// https://www.postgresql.org/docs/15/errcodes-appendix.html
std::string_view code_of(std::string_view sqlstate) {
  struct Known {
    std::string_view begins;
    std::string_view code;
  };
  // Whose fault each is. What is tried again stands here; all else is not: it would fail again.
  constexpr Known kKnown[] = {
      // The server's, or that of the way to it: what was asked is asked again when it is back.
      {"", sql::kAway},       // the connection was lost: no answer
      {"08", sql::kAway},     // connection exception
      {"57P", sql::kAway},    // it goes down or comes up
      {"53300", sql::kAway},  // too many connections
      {"25006", sql::kAway},  // it only reads: another one is the primary
      {"25P02", sql::kAway},  // an earlier statement of the transaction has failed: not this one's
      {"25P03", sql::kAway},  // a transaction that stood still was ended
      // That of the moment.
      {"40001", sql::kBusy},  // serialization failure
      {"40P01", sql::kBusy},  // deadlock
      {"55P03", sql::kBusy},  // a lock was not got in time
      {"55006", sql::kBusy},  // object in use
      {"57014", sql::kBusy},  // a statement was cut off
      {"53100", sql::kFull},  // disk full
      {"53", sql::kBusy},     // insufficient resources
      {"58", sql::kBusy},     // system error: the server looks after its own disk
      // The row's.
      {"22", sql::kConstraint},         // data exception: NUL in a text
      {"23", sql::kConstraint},         // integrity constraint violation
      {kRefusedRow, sql::kConstraint},  // row level security
      {"54", sql::kConstraint},         // program limit exceeded: a row is too large
      // Nobody's who asks: the store is broken.
      {"XX001", sql::kDamaged},  // data corrupted
      {"XX002", sql::kDamaged},  // index corrupted
  };
  for (const auto& known : kKnown) {
    bool is_it = known.begins.empty() ? sqlstate.empty() : sqlstate.starts_with(known.begins);
    if (is_it) return known.code;
  }
  // The statement's, or its role's: a table or a right that is missing.
  return sql::kStatement;
}

Error error_of(std::string_view code, std::string_view doing, std::string_view said) {
  bool internal = code == sql::kConstraint || code == sql::kDamaged || code == sql::kStatement;
  while (said.ends_with('\n')) said.remove_suffix(1);
  return Error(internal ? ErrorKind::Internal : ErrorKind::Unavailable, std::string(code),
               fmt::format("postgres: {}: {}", doing.substr(0, 80), said));
}

}  // namespace millrace::store_postgres
