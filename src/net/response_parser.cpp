// SPDX-License-Identifier: Apache-2.0
#include "net/response_parser.h"

#include <fmt/format.h>

#include <boost/beast/http/error.hpp>

namespace millrace::net {

namespace http = boost::beast::http;

namespace {
constexpr uint32_t kMaxHeaderBytes = 64 << 10;
constexpr size_t kShortestChunkedEnd = 5;  // Beast 1.81 asserts on less: request_parser.cpp
}  // namespace

ResponseParser::ResponseParser(ClientResponse& response, bool is_head, size_t max_bytes,
                               const HttpClient::OnPiece& on_piece)
    : response_(response), max_bytes_(max_bytes), on_piece_(on_piece) {
  header_limit(kMaxHeaderBytes);
  body_limit(boost::none);  // counted below; a stream has none
  skip(is_head);
  eager(true);
}

Result<size_t> ResponseParser::read(std::string_view bytes) {
  if (is_header_done() && chunked() && bytes.size() < kShortestChunkedEnd) return 0;
  Code code;
  size_t used = put(boost::asio::buffer(bytes), code);
  if (!code || code == http::error::need_more || stopped_) return used;
  if (code == http::error::body_limit) {
    return Error(ErrorKind::TooLarge, "NET-0015",
                 fmt::format("response body: expected at most {} bytes", max_bytes_));
  }
  return Error(ErrorKind::Unavailable, "NET-0013",
               fmt::format("invalid HTTP/1.1 response: {}", code.message()));
}

Result<void> ResponseParser::read_end() {
  Code code = http::error::partial_message;
  if (got_some()) put_eof(code);
  if (!code) return {};
  return Error(ErrorKind::Unavailable, "NET-0013",
               "the server closed the connection before its response was complete");
}

void ResponseParser::on_field_impl(http::field, View name, View value, Code&) {
  if (!is_header_done()) response_.headers.emplace_back(name, value);
}

size_t ResponseParser::on_body_impl(View piece, Code& code) {
  bool streams = on_piece_ && response_.status / 100 == 2;
  if (streams) {
    stopped_ = !on_piece_({piece.data(), piece.size()});
    if (stopped_) code = http::error::end_of_stream;
  } else if (response_.body.size() + piece.size() > max_bytes_) {
    code = http::error::body_limit;
  } else {
    response_.body.append(piece.data(), piece.size());
  }
  return piece.size();
}

size_t ResponseParser::on_chunk_body_impl(uint64_t, View piece, Code& code) {
  return on_body_impl(piece, code);
}

}  // namespace millrace::net
