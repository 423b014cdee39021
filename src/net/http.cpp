// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace millrace::net {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

std::string_view Headers::find(std::string_view name) const {
  for (const auto& [key, value] : lines_) {
    if (iequals_ascii(key, name)) return value;
  }
  return {};
}

void Headers::add(std::string_view name, std::string_view value) {
  if (contains(name)) repeated_.push_back(name);
  lines_.emplace_back(name, value);
}

void Headers::clear() {
  lines_.clear();
  repeated_.clear();
}

bool stands_once(std::string_view name) {
  // RFC 9110 and 9112: fields that are no lists. Content-Encoding is one, but we take one coding.
  static constexpr std::string_view kNames[] = {"authorization",
                                                "content-encoding",
                                                "content-length",
                                                "content-location",
                                                "content-range",
                                                "content-type",
                                                "date",
                                                "expect",
                                                "from",
                                                "host",
                                                "if-modified-since",
                                                "if-range",
                                                "if-unmodified-since",
                                                "last-event-id",
                                                "max-forwards",
                                                "proxy-authorization",
                                                "referer",
                                                "transfer-encoding",
                                                "user-agent"};
  return std::ranges::any_of(kNames, [&](auto one) { return iequals_ascii(one, name); });
}

bool Headers::contains(std::string_view name) const {
  for (const auto& line : lines_) {
    if (iequals_ascii(line.first, name)) return true;
  }
  return false;
}

const std::string* HttpRequest::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

HttpResponse& HttpResponse::header(std::string_view name, std::string_view value) {
  header_lines_ += name;
  header_lines_ += ": ";
  for (char c : value) header_lines_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  header_lines_ += "\r\n";
  return *this;
}

std::string_view HttpResponse::find_header(std::string_view name) const {
  for (std::string_view line : split(header_lines_, '\n')) {
    size_t colon = line.find(':');
    if (colon != std::string_view::npos && iequals_ascii(line.substr(0, colon), name)) {
      return trim(line.substr(colon + 1));
    }
  }
  return {};
}

HttpResponse HttpResponse::json(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

HttpResponse HttpResponse::text(int status, std::string body) {
  HttpResponse response = json(status, std::move(body));
  response.content_type = "text/plain; charset=utf-8";
  return response;
}

HttpResponse HttpResponse::problem(int status, const Error& error) {
  Value body = Value::map({{"type", "about:blank"},
                           {"title", reason_of(status)},
                           {"status", status},
                           {"code", error.code()},
                           {"detail", error.message()}});
  HttpResponse response = json(status, to_json(body));
  response.content_type = "application/problem+json";
  if (error.retry_after_ms() > 0) {
    response.header("Retry-After", std::to_string((error.retry_after_ms() + 999) / 1000));
  }
  return response;
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Invalid: return 400;
    case ErrorKind::Unauthorized: return 401;
    case ErrorKind::Forbidden: return 403;
    case ErrorKind::NotFound: return 404;
    case ErrorKind::Conflict: return 409;
    case ErrorKind::TooLarge: return 413;
    case ErrorKind::Unsupported: return 415;
    case ErrorKind::Mismatch: return 422;
    case ErrorKind::Stale: return 412;
    case ErrorKind::Busy: return 429;
    case ErrorKind::Unavailable: return 503;
    case ErrorKind::Timeout: return 504;
    case ErrorKind::Internal: return 500;
  }
  return 500;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return true;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

size_t query_fields(std::string_view text) {
  return text.empty() ? 0 : static_cast<size_t>(std::ranges::count(text, '&')) + 1;
}

bool parse_query(std::string_view text, std::vector<std::pair<std::string, std::string>>& out) {
  out.clear();
  if (query_fields(text) > kMostQueryFields) return false;
  for (size_t begin = 0; begin < text.size();) {
    std::string_view part = text.substr(begin, text.find('&', begin) - begin);
    begin += part.size() + 1;
    if (part.empty()) continue;
    size_t equals = std::min(part.find('='), part.size());
    std::string_view value = part.substr(std::min(equals + 1, part.size()));
    auto& [key, decoded] = out.emplace_back();
    if (!percent_decode(part.substr(0, equals), true, key)) return false;
    if (!percent_decode(value, true, decoded)) return false;
  }
  return true;
}

}  // namespace millrace::net
