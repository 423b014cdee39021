// SPDX-License-Identifier: Apache-2.0
#include "net/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/error.hpp>

#include "base/text.h"
#include "net/uri.h"

namespace millrace::net {

namespace http = boost::beast::http;

namespace {

constexpr size_t kReserveAtMost = 64 << 10;  // a declared length is not believed beyond this
constexpr size_t kMaxLines = 128;            // of a head
constexpr size_t kChunkFrame = 16;           // its size in hex digits and two line ends

// Beast 1.81 asserts that it has all of "0\r\n\r\n" when it meets the last chunk a second time:
// fewer bytes that could become that end wait for the next read.
bool may_be_a_cut_end(std::string_view bytes) {
  constexpr std::string_view kEnd = "0\r\n\r\n";
  return bytes.size() < kEnd.size() && bytes.find_first_not_of("0\r\n") == std::string_view::npos;
}

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

Refusal bad_request(std::string message) {
  return {400, Error(ErrorKind::Invalid, "NET-0001", std::move(message))};
}

}  // namespace

RequestParser::RequestParser(HttpRequest& request, size_t max_header_bytes)
    : request_(request), max_header_bytes_(max_header_bytes) {
  header_limit(static_cast<uint32_t>(max_header_bytes));
  body_limit(boost::none);  // checked here, where the handler's limit is known
}

RequestParser::Step RequestParser::read_head(std::string_view bytes) {
  input_ = bytes;
  Code code;
  eager(false);
  size_t used = put(boost::asio::buffer(bytes), code);
  Step result = step(used, code, is_header_done());
  if (!result.refusal && is_header_done()) result.refusal = check_head();
  return result;
}

RequestParser::Step RequestParser::read_body(std::string_view bytes) {
  Code code;
  if (is_done()) return {0, Progress::Done, {}};
  if (bytes.empty() || (chunked() && may_be_a_cut_end(bytes))) return {};
  eager(true);
  size_t used = put(boost::asio::buffer(bytes), code);
  wire_ += used;
  if ((!code || code == http::error::need_more) && spent() > limit_) code = http::error::body_limit;
  return step(used, code, is_done());
}

size_t RequestParser::spent() const {
  size_t around = wire_ > received_ ? wire_ - received_ : 0;
  size_t frames = kChunkFrame * (chunks_ + 1);
  return received_ + (around > frames ? around - frames : 0);
}

std::optional<size_t> RequestParser::declared_length() const {
  auto length = content_length();
  return length ? std::optional<size_t>(*length) : std::nullopt;
}

RequestParser::Step RequestParser::step(size_t used, const Code& code, bool done) const {
  Step result{used, done ? Progress::Done : Progress::NeedsMore, {}};
  if (code && code != http::error::need_more) result.refusal = refusal_of(code);
  return result;
}

Refusal RequestParser::head_too_large() const {
  return {431, Error(ErrorKind::Invalid, "NET-0002",
                     fmt::format("request header: expected at most {} bytes and {} lines",
                                 max_header_bytes_, kMaxLines))};
}

Refusal RequestParser::body_too_large() const {
  return {413, Error(ErrorKind::TooLarge, "NET-0003",
                     fmt::format("request body: expected at most {} bytes", limit_))};
}

Refusal RequestParser::refusal_of(const Code& code) const {
  if (code == http::error::body_limit) return body_too_large();
  if (code == http::error::header_limit) return head_too_large();
  if (code == http::error::bad_transfer_encoding) {
    return bad_request("Transfer-Encoding: expected 'chunked' alone, without Content-Length");
  }
  if (!complaint_.empty()) return bad_request(std::string(complaint_));
  return bad_request(fmt::format("invalid HTTP/1.1 request: {}", code.message()));
}

// What the parser lets pass but a server must not, RFC 9112 section 3.2 and 6.1.
std::optional<Refusal> RequestParser::check_head() {
  if (version_ == 11 && hosts_ != 1) {
    return bad_request(fmt::format("expected one Host header, found {}", hosts_));
  }
  for (auto name : request_.headers.repeated()) {
    if (stands_once(name)) return bad_request(fmt::format("the header {} stands twice", name));
  }
  if (auto host = request_.headers.find("host"); hosts_ > 0 && !is_authority(host)) {
    return bad_request(fmt::format("expected a host and port in Host, found '{}'", host));
  }
  if (version_ == 10 && chunked_) {
    return bad_request("Transfer-Encoding is not part of HTTP/1.0");
  }
  return check_target();
}

// The path and the query, as the proxies before us read them too.
std::optional<Refusal> RequestParser::check_target() {
  std::string_view target = request_.target;
  if (target.contains('#')) return bad_request("expected a request target without a fragment '#'");
  // Absolute form: which authority is not ours to judge.
  if (iequals_ascii(target.substr(0, 7), "http://")) {
    target.remove_prefix(7);
    auto authority = target.substr(0, target.find_first_of("/?"));
    if (!is_authority(authority)) {
      return bad_request(
          fmt::format("expected a host and port after 'http://', found '{}'", authority));
    }
    target.remove_prefix(authority.size());
  }
  size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  bool decoded = percent_decode(path, false, request_.path);
  auto count_slashes = [](std::string_view text) { return std::ranges::count(text, '/'); };
  bool hides_slash = count_slashes(path) != count_slashes(request_.path);
  bool is_asterisk = request_.method == "OPTIONS" && request_.target == "*";
  if (!decoded || hides_slash || request_.path.find('\0') != std::string::npos ||
      (!path.starts_with('/') && !is_asterisk)) {
    return bad_request(fmt::format("invalid request path '{}'", path.substr(0, 100)));
  }
  if (question < target.size() && !parse_query(target.substr(question + 1), request_.query)) {
    size_t fields = query_fields(target.substr(question + 1));
    if (fields <= kMostQueryFields) return bad_request("invalid percent-encoding in the query");
    return bad_request(
        fmt::format("expected at most {} fields in the query, found {}", kMostQueryFields, fields));
  }
  return std::nullopt;
}

bool RequestParser::is_in_input(View text) const {
  return text.data() >= input_.data() && text.data() + text.size() <= input_.data() + input_.size();
}

void RequestParser::on_request_impl(http::verb, View method, View target, int version, Code&) {
  request_.method = view(method);
  request_.target = view(target);
  version_ = version;
}

// RFC 9112 section 5.2 lets us refuse. A folded value is unfolded into the parser's own memory;
// one that folds nothing is empty, and the line after it begins with a blank.
bool RequestParser::is_folded(View name, View value) const {
  if (!value.empty()) {
    // A value that begins on the line after its name stands there in one piece.
    return !is_in_input(value) ||
           std::find(name.data() + name.size(), value.data(), '\n') != value.data();
  }
  const char* end = input_.data() + input_.size();
  const char* line_end = std::find(name.data() + name.size(), end, '\n');
  return end - line_end > 1 && (line_end[1] == ' ' || line_end[1] == '\t');
}

void RequestParser::on_field_impl(http::field field, View name, View value, Code& code) {
  if (is_header_done()) return;  // trailers are ignored
  if (is_folded(name, value)) {
    code = http::error::bad_obs_fold;
    return;
  }
  if (request_.headers.lines().size() == kMaxLines) {
    code = http::error::header_limit;
    return;
  }
  if (field == http::field::host) ++hosts_;
  if (field == http::field::content_length &&
      view(value).find_first_not_of("0123456789") != std::string_view::npos) {
    complaint_ = "expected one number in Content-Length";
    code = http::error::bad_content_length;
    return;
  }
  if (field == http::field::transfer_encoding) {
    chunked_ = true;
    if (!iequals_ascii(view(value), "chunked")) code = http::error::bad_transfer_encoding;
  }
  if (field == http::field::expect) {
    expects_continue_ = iequals_ascii(view(value), "100-continue");
  }
  request_.headers.add(view(name), view(value));
}

void RequestParser::on_body_init_impl(const boost::optional<uint64_t>& length, Code&) {
  if (length && !discards_) request_.body.reserve(std::min<size_t>(*length, kReserveAtMost));
}

// A chunk that cannot fit is refused before it comes.
void RequestParser::on_chunk_header_impl(uint64_t size, View, Code& code) {
  ++chunks_;
  if (spent() > limit_ || size > limit_ - spent()) code = http::error::body_limit;
}

size_t RequestParser::on_body_impl(View piece, Code& code) {
  if (received_ + piece.size() > limit_) {
    code = http::error::body_limit;
    return 0;
  }
  received_ += piece.size();
  if (discards_) return piece.size();
  make_room(request_.body.size() + piece.size());
  request_.body.append(piece.data(), piece.size());
  return piece.size();
}

// For more than a little once and for all: pages that nothing comes into cost nothing, while a body
// that moves into ever larger rooms copies itself and leaves the small ones behind.
void RequestParser::make_room(size_t needed) {
  auto& body = request_.body;
  if (needed <= kReserveAtMost || needed <= body.capacity()) return;
  std::string large;  // `body.reserve` would double it, whatever it is asked for
  large.reserve(std::min(declared_length().value_or(limit_), limit_));
  large += body;
  body.swap(large);
}

size_t RequestParser::on_chunk_body_impl(uint64_t, View piece, Code& code) {
  return on_body_impl(piece, code);
}

}  // namespace millrace::net
