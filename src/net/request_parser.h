// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "net/http.h"

namespace millrace::net {

// What the server answers by itself when it cannot or will not take a request.
struct Refusal {
  int status;
  Error error;
};

// Fills an HttpRequest from bytes; for one request. Header views point into the bytes that were
// given to read_head, so those must stay in place until the request is done.
class RequestParser : private boost::beast::http::basic_parser<true> {
 public:
  RequestParser(HttpRequest& request, size_t max_header_bytes);

  enum class Progress { NeedsMore, Done };
  struct Step {
    size_t used = 0;  // bytes that were consumed
    Progress progress = Progress::NeedsMore;
    std::optional<Refusal> refusal;
  };
  // `bytes` goes on where the last call stopped consuming.
  Step read_head(std::string_view bytes);
  // After the head. Done at once when there is no body.
  Step read_body(std::string_view bytes);

  // Counts what the body's sender makes us read: its bytes, and what stands around chunks beyond
  // their bare frames (extensions, trailers, zeros before a size).
  void set_body_limit(size_t limit) { limit_ = limit; }
  // From here on the body is read and thrown away.
  void discard_body() { discards_ = true; }
  bool has_body() const { return chunked_ || declared_length().value_or(0) > 0; }
  std::optional<size_t> declared_length() const;
  size_t body_received() const { return received_; }
  Refusal head_too_large() const;
  Refusal body_too_large() const;
  bool started() const { return got_some(); }
  bool keep_alive() const { return basic_parser::keep_alive(); }
  bool is_http_1_0() const { return version_ == 10; }
  bool expects_continue() const { return expects_continue_; }

 private:
  using Code = boost::beast::error_code;
  using View = boost::beast::string_view;

  Step step(size_t used, const Code& code, bool done) const;
  Refusal refusal_of(const Code& code) const;
  std::optional<Refusal> check_head();
  std::optional<Refusal> check_target();
  bool is_folded(View name, View value) const;
  size_t spent() const;
  void make_room(size_t needed);
  bool is_in_input(View text) const;

  void on_request_impl(boost::beast::http::verb, View method, View target, int version,
                       Code&) override;
  void on_response_impl(int, View, int, Code&) override {}
  void on_field_impl(boost::beast::http::field, View name, View value, Code& code) override;
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>& length, Code&) override;
  size_t on_body_impl(View piece, Code& code) override;
  void on_chunk_header_impl(uint64_t size, View extensions, Code& code) override;
  size_t on_chunk_body_impl(uint64_t, View piece, Code& code) override;
  void on_finish_impl(Code&) override {}

  HttpRequest& request_;
  std::string_view input_;
  size_t max_header_bytes_;
  size_t limit_ = 0;
  int version_ = 11;
  int hosts_ = 0;
  size_t received_ = 0;  // of the body itself
  size_t wire_ = 0;      // of the body as it came
  size_t chunks_ = 0;
  std::string_view complaint_;  // what a field is refused for
  bool chunked_ = false;
  bool discards_ = false;
  bool expects_continue_ = false;
};

}  // namespace millrace::net
