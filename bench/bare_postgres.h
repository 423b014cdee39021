// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

struct pg_conn;

namespace millrace::bench {

// The floor: libpq as somebody writes it who knows it. Prepared statements with parameters in
// binary, everything from BEGIN to COMMIT in one pipeline, and one wait for all answers. Any error
// ends the process.
class BarePostgres {
 public:
  struct Text {
    std::string text;
    std::string name;
    bool is_known = false;  // to the server
  };
  using Statement = Text*;

  // In a new schema with our tables.
  BarePostgres(const std::string& url, const std::string& schema);
  ~BarePostgres();
  BarePostgres(const BarePostgres&) = delete;
  BarePostgres& operator=(const BarePostgres&) = delete;

  // Parameters are `?`, as in SQLite. Parsed when it is first run.
  Statement prepare(const char* text);
  template <typename... Args>
  void run(Statement statement, const Args&... args) {
    const std::array<Value, sizeof...(Args)> values{Value(args)...};
    send(*statement, values.data(), values.size());
  }
  void begin() { run(begin_); }
  // Waits for the answers to all since `begin`.
  void commit();
  void checkpoint() {}

 private:
  struct Value {
    explicit Value(int64_t number_) : is_number(true), size(8) {
      number_ = static_cast<int64_t>(__builtin_bswap64(static_cast<uint64_t>(number_)));
      std::memcpy(number, &number_, sizeof number);
    }
    explicit Value(std::string_view text)
        : bytes(text.data() ? text.data() : ""), size(static_cast<int>(text.size())) {}
    bool is_number = false;
    char number[8] = {};
    const char* bytes = nullptr;
    int size;
  };
  void send(Text& statement, const Value* values, size_t count);
  void flush();
  void wait(bool for_writing);
  void check(bool ok) const;

  pg_conn* raw_;
  std::vector<std::unique_ptr<Text>> statements_;
  Statement begin_;
  Statement commit_;
  int unsent_ = 0;
};

}  // namespace millrace::bench
