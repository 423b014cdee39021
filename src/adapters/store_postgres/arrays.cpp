// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/arrays.h"

#include <endian.h>
#include <fmt/format.h>

#include "adapters/store_postgres/session.h"

namespace millrace::store_postgres {
namespace {

constexpr size_t kFewRows = 16;
constexpr size_t kSmallRow = 512;           // bytes
constexpr size_t kMostOfAll = 64ULL << 20;  // of all

void add_number(std::string& to, uint32_t number) {
  number = htobe32(number);
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::string_view bytes_of(const Rows::Value& value) {
  if (value.kind == Rows::Kind::Int) return {value.number, sizeof value.number};
  return value.bytes;
}

Rows::Kind array_of(Rows::Kind kind) {
  switch (kind) {
    case Rows::Kind::Int: return Rows::Kind::IntArray;
    case Rows::Kind::Blob: return Rows::Kind::BlobArray;
    default: return Rows::Kind::TextArray;
  }
}

unsigned element_of(Rows::Kind kind) {
  switch (kind) {
    case Rows::Kind::Int: return kInt8Oid;
    case Rows::Kind::Blob: return kByteaOid;
    default: return kTextOid;
  }
}

}  // namespace

std::optional<std::string> insert_of_arrays(std::string_view text, size_t count) {
  std::string parameters;
  for (size_t i = 1; i <= count; ++i) parameters += fmt::format("{}${}", i == 1 ? "" : ", ", i);
  std::string tail = fmt::format(" VALUES ({})", parameters);
  if (!text.starts_with("INSERT INTO ") || !text.ends_with(tail)) return std::nullopt;
  text.remove_suffix(tail.size());
  return fmt::format("{} SELECT * FROM unnest({})", text, parameters);
}

bool are_worth_arrays(const Rows& rows) {
  if (rows.count() < kFewRows) return false;
  size_t bytes = 0;
  for (size_t i = 0; i < rows.count(); ++i) {
    for (const auto& value : rows.row(i)) bytes += value.bytes.size();
  }
  return bytes <= rows.count() * kSmallRow && bytes <= kMostOfAll;
}

// array_send() of PostgreSQL: dimensions, whether there are nulls, the type of the elements, their
// number and the first index, then each with its length before it.
ArrayRow::ArrayRow(const Rows& rows) {
  auto first = rows.row(0);
  columns_.resize(first.size());
  for (size_t column = 0; column < first.size(); ++column) {
    std::string& to = columns_[column];
    add_number(to, 1);
    add_number(to, 0);
    add_number(to, element_of(first[column].kind));
    add_number(to, static_cast<uint32_t>(rows.count()));
    add_number(to, 1);
    for (size_t i = 0; i < rows.count(); ++i) {
      auto bytes = bytes_of(rows.row(i)[column]);
      add_number(to, static_cast<uint32_t>(bytes.size()));
      to += bytes;
    }
    row_.put_bytes(static_cast<int>(column) + 1, array_of(first[column].kind), to);
  }
  row_.end_row();
}

}  // namespace millrace::store_postgres
