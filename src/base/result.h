// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

// What a caller can do about an error. The api maps each kind to one HTTP status.
enum class ErrorKind : uint8_t {
  Invalid,       // 400: the input is wrong and says where
  Unauthorized,  // 401
  Forbidden,     // 403
  NotFound,      // 404
  Conflict,      // 409: the state does not allow it
  TooLarge,      // 413
  Unsupported,   // 415 (media type) and features that this build does not have
  Mismatch,      // 422: an Idempotency-Key was reused with another request
  Stale,         // 412: If-Match or a row version no longer holds
  Busy,          // 429: come back after `retry_after_ms`
  Unavailable,   // 503: the store or a peer is away; the outcome may be unknown
  Timeout,       // 504
  Internal,      // 500: a bug or damaged state
};

std::string_view to_string(ErrorKind kind);

// One problem inside a larger input: `path` is a JSON pointer-like path or `file:line`.
struct Problem {
  std::string path;
  std::string message;
};

// An expected failure. `code` is stable (`EXE-0012`) and has a page in docs/errors/.
// `message` says what was expected, what was found, where, and what to do.
// Cheap to move: all fields stand behind one pointer.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string_view code, std::string message);
  Error(Error&&) noexcept = default;
  Error& operator=(Error&&) noexcept = default;
  Error(const Error& other) : data_(std::make_unique<Data>(*other.data_)) {}
  Error& operator=(const Error& other) {
    data_ = std::make_unique<Data>(*other.data_);
    return *this;
  }

  ErrorKind kind() const { return data_->kind; }
  const std::string& code() const { return data_->code; }
  const std::string& message() const { return data_->message; }
  const std::vector<Problem>& problems() const;
  int64_t retry_after_ms() const { return data_->retry_after_ms; }

  // Puts `where: ` before the message. For module borders, not for each frame.
  Error with_context(std::string_view where) &&;
  Error with_problem(std::string path, std::string message) &&;
  Error with_problems(std::vector<Problem> problems) &&;
  Error with_retry_after(int64_t ms) &&;

  // Message and problems on one or more lines, for logs and terminals.
  std::string describe() const;

 private:
  struct Data {
    ErrorKind kind;
    std::string code;
    std::string message;
    std::vector<Problem> problems;
    int64_t retry_after_ms = 0;
  };
  std::unique_ptr<Data> data_;
};

// What a program that is told of an error does about it: "VALIDATION_FAILED", "RATE_LIMITED", ...
// Part of every answer that is an error, over HTTP and gRPC alike; there are fewer than kinds.
std::string_view public_kind(const Error& error);

// A value or an Error. For what a caller must expect; a programmer's mistake is an ASSERT.
// A default-constructed Result<T> holds a default T (co_spawn of Asio 1.81 needs that).
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result()
    requires std::is_default_constructible_v<T>
      : state_(std::in_place_index<0>) {}
  template <typename U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::decay_t<U>, Result> &&
             !std::is_same_v<std::decay_t<U>, Error>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  void value() const {}
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

namespace detail {
[[noreturn]] void assert_failed(const char* expr, const char* file, int line,
                                std::string_view message);
}

}  // namespace millrace

#define MILLRACE_CONCAT_INNER(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_INNER(a, b)

// TRY(auto x, may_fail());   returns the Error of a failed Result from the enclosing function.
// TRY(may_fail());           for Result<void>.
#define MILLRACE_TRY_1(ret, expr)                       \
  do {                                                  \
    if (auto try_result_ = (expr); !try_result_.ok()) { \
      ret std::move(try_result_).error();               \
    }                                                   \
  } while (false)
#define MILLRACE_TRY_2(ret, decl, expr)                            \
  auto MILLRACE_CONCAT(try_result_, __LINE__) = (expr);            \
  if (!MILLRACE_CONCAT(try_result_, __LINE__).ok())                \
    ret std::move(MILLRACE_CONCAT(try_result_, __LINE__)).error(); \
  decl = std::move(MILLRACE_CONCAT(try_result_, __LINE__)).value()
#define MILLRACE_TRY_PICK(_1, _2, name, ...) name
#define TRY(...) MILLRACE_TRY_PICK(__VA_ARGS__, MILLRACE_TRY_2, MILLRACE_TRY_1)(return, __VA_ARGS__)
// The same inside a coroutine: CO_TRY(auto x, co_await expr);
#define CO_TRY(...) \
  MILLRACE_TRY_PICK(__VA_ARGS__, MILLRACE_TRY_2, MILLRACE_TRY_1)(co_return, __VA_ARGS__)

// A programmer's mistake: prints and aborts, in all builds.
#define ASSERT(cond)             \
  (__builtin_expect(!!(cond), 1) \
       ? (void)0                 \
       : ::millrace::detail::assert_failed(#cond, __FILE__, __LINE__, {}))
#define ASSERT_MSG(cond, msg)    \
  (__builtin_expect(!!(cond), 1) \
       ? (void)0                 \
       : ::millrace::detail::assert_failed(#cond, __FILE__, __LINE__, msg))
