// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/task.h"

namespace millrace::net {

// Header lines in the order of the message; names are compared without case.
class Headers {
 public:
  using Line = std::pair<std::string_view, std::string_view>;

  // The first value, or "".
  std::string_view find(std::string_view name) const;
  bool contains(std::string_view name) const;
  const std::vector<Line>& lines() const { return lines_; }
  // Names that stand on several lines: `find` tells the first of them only.
  const std::vector<std::string_view>& repeated() const { return repeated_; }
  void add(std::string_view name, std::string_view value);
  void clear();

 private:
  std::vector<Line> lines_;
  std::vector<std::string_view> repeated_;
};

// Headers of HTTP itself that say one thing. A request with two of one is refused (NET-0001): two
// readers on its way could each believe another.
bool stands_once(std::string_view name);

// A request as its handler sees it. The views are into the connection's buffer: they live until
// the response is sent. Whoever needs more, copies.
struct HttpRequest {
  std::string_view method;
  std::string_view target;  // as it was sent: path and query
  std::string path;         // percent-decoded; never holds an encoded slash or a NUL
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;       // may be moved from
  std::string_view peer;  // "127.0.0.1:4711"

  // The first value of a query parameter, or nullptr.
  const std::string* query_value(std::string_view name) const;
};

// Takes the pieces of a streamed body to the client.
class BodyWriter {
 public:
  // Sends now. Unavailable (NET-0006) when the client is gone or reads too slowly: the stream
  // should then end.
  virtual Task<Result<void>> write(std::string_view piece) = 0;

 protected:
  ~BodyWriter() = default;
};

// Runs while the response is sent; cancelled when the client goes away or the server stops.
using BodyStream = std::function<Task<void>(BodyWriter&)>;

struct HttpResponse {
  int status = 200;
  std::string_view content_type;  // of a literal; "" when there is no body
  std::string body;
  std::string_view fixed;  // in place of `body`: text that outlives the server, which none copies
  BodyStream stream;       // if set, in place of both
  bool close = false;      // the connection ends after this response

  // Control characters in a value become spaces.
  HttpResponse& header(std::string_view name, std::string_view value);
  std::string_view find_header(std::string_view name) const;
  const std::string& header_lines() const { return header_lines_; }
  std::string_view content() const { return fixed.empty() ? std::string_view(body) : fixed; }

  static HttpResponse json(int status, std::string body);
  static HttpResponse text(int status, std::string body);
  // RFC 9457, with what the error says; for where no better renderer is at hand.
  static HttpResponse problem(int status, const Error& error);

 private:
  std::string header_lines_;
};

// The status that tells a client what it can do about an error of this kind.
int status_of(ErrorKind kind);
std::string_view reason_of(int status);

// False on a broken escape. `plus_is_space` in queries.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);
std::string percent_encode(std::string_view text);  // all but unreserved characters (RFC 3986)
// Of a query or a form; what is written between two '&' counts, also when it is nothing.
inline constexpr size_t kMostQueryFields = 10'000;
size_t query_fields(std::string_view text);
// `a=1&b=x%20y`; false on a broken escape, and before anything is made of more than
// kMostQueryFields: each takes fifty times its two bytes.
bool parse_query(std::string_view text, std::vector<std::pair<std::string, std::string>>& out);

}  // namespace millrace::net
