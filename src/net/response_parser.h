// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include "net/http_client.h"

namespace millrace::net {

// Fills a ClientResponse from bytes; for one response.
class ResponseParser : private boost::beast::http::basic_parser<false> {
 public:
  // `on_piece` takes the body if the status is 2xx; may be empty.
  ResponseParser(ClientResponse& response, bool is_head, size_t max_bytes,
                 const HttpClient::OnPiece& on_piece);

  // Returns how many bytes were consumed.
  Result<size_t> read(std::string_view bytes);
  // The server has closed the connection.
  Result<void> read_end();

  bool started() const { return got_some(); }
  bool done() const { return is_done() || stopped_; }
  // True when the connection can serve another request.
  bool keep_alive() const { return is_done() && !stopped_ && basic_parser::keep_alive(); }

 private:
  using Code = boost::beast::error_code;
  using View = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb, View, View, int, Code&) override {}
  void on_response_impl(int status, View, int, Code&) override { response_.status = status; }
  void on_field_impl(boost::beast::http::field, View name, View value, Code&) override;
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, Code&) override {}
  size_t on_body_impl(View piece, Code& code) override;
  void on_chunk_header_impl(uint64_t, View, Code&) override {}
  size_t on_chunk_body_impl(uint64_t, View piece, Code& code) override;
  void on_finish_impl(Code&) override {}

  ClientResponse& response_;
  size_t max_bytes_;
  const HttpClient::OnPiece& on_piece_;
  bool stopped_ = false;
};

}  // namespace millrace::net
