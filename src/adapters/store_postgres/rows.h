// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::store_postgres {

// The parameters of a statement, of one row after the other, in the wire's binary form. Texts and
// blobs are views. A place has the same kind in all rows.
class Rows {
 public:
  enum class Kind : uint8_t { None, Int, Text, Blob, IntArray, TextArray, BlobArray };
  struct Value {
    Kind kind = Kind::None;
    char number[8] = {};  // big endian
    std::string_view bytes;
  };
  // Of a statement without parameters.
  static Rows none() {
    Rows rows;
    rows.end_row();
    return rows;
  }
  void put_int(int index, int64_t value);  // index from 1
  void put_bytes(int index, Kind kind, std::string_view value);
  void end_row();
  size_t count() const { return count_; }
  std::span<const Value> row(size_t number) const;
  void clear();

 private:
  Value& at(int index);
  std::vector<Value> values_;
  size_t width_ = 0;
  size_t count_ = 0;
};

}  // namespace millrace::store_postgres
