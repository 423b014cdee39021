// SPDX-License-Identifier: Apache-2.0
#include "net/content_coding.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace millrace::net {
namespace {

enum class Wrapping : int { Gzip = 16 + MAX_WBITS, Zlib = MAX_WBITS, None = -MAX_WBITS };

Error broken(std::string_view coding, std::string_view why) {
  return Error(ErrorKind::Invalid, "NET-0021",
               fmt::format("the body is not {} as its Content-Encoding says: {}", coding, why));
}

Result<std::string> inflate_all(std::string_view body, Wrapping wrapping, std::string_view coding,
                                size_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, static_cast<int>(wrapping)) != Z_OK) {
    return Error(ErrorKind::Unavailable, "NET-0021", "no memory to unpack the body");
  }
  struct End {
    z_stream& stream;
    ~End() { inflateEnd(&stream); }
  } end{stream};
  std::string in(body);  // zlib takes no const
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  std::string out;
  std::vector<char> piece(64 << 10);
  for (int status = Z_OK; status != Z_STREAM_END || stream.avail_in > 0;) {
    if (status == Z_STREAM_END) {
      // A gzip file may have several members (RFC 1952, 2.2).
      if (wrapping != Wrapping::Gzip) return broken(coding, "bytes follow its end");
      inflateReset(&stream);
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_BUF_ERROR) return broken(coding, "it ends too early");
    if (status != Z_OK && status != Z_STREAM_END) {
      return broken(coding, stream.msg ? stream.msg : "it is damaged");
    }
    out.append(piece.data(), piece.size() - stream.avail_out);
    if (out.size() > most) {
      return Error(ErrorKind::TooLarge, "NET-0015",
                   fmt::format("the unpacked body is larger than {} bytes", most));
    }
  }
  return out;
}

// `deflate` means zlib's format; some servers send the bare stream (RFC 9110, 8.4.1.2).
bool has_zlib_header(std::string_view body) {
  if (body.size() < 2) return false;
  auto first = static_cast<unsigned char>(body[0]);
  auto second = static_cast<unsigned char>(body[1]);
  return (first & 0x0F) == 8 && (first * 256 + second) % 31 == 0;
}

}  // namespace

Result<std::string> decode_content(std::string body, std::string_view content_encoding,
                                   size_t most) {
  auto codings = split(content_encoding, ',');
  constexpr size_t kMost = 4;  // a stream that unpacks to itself would go on for ever
  if (codings.size() > kMost) {
    return Error(ErrorKind::Unsupported, "NET-0020",
                 fmt::format("Content-Encoding: expected at most {} codings, found {}", kMost,
                             codings.size()));
  }
  std::ranges::reverse(codings);  // the last one was applied last
  for (std::string_view word : codings) {
    std::string coding = to_lower_ascii(trim(word));
    if (coding.empty() || coding == "identity" || body.empty()) continue;
    if (coding == "gzip" || coding == "x-gzip") {
      TRY(body, inflate_all(body, Wrapping::Gzip, coding, most));
    } else if (coding == "deflate") {
      auto wrapping = has_zlib_header(body) ? Wrapping::Zlib : Wrapping::None;
      TRY(body, inflate_all(body, wrapping, coding, most));
    } else {
      return Error(ErrorKind::Unsupported, "NET-0020",
                   fmt::format("Content-Encoding '{}': expected gzip, deflate or identity",
                               coding.substr(0, 64)));
    }
  }
  return body;
}

Result<std::string> gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int kMemory = 8;  // zlib's default
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, static_cast<int>(Wrapping::Gzip),
                   kMemory, Z_DEFAULT_STRATEGY) != Z_OK) {
    return Error(ErrorKind::Unavailable, "NET-0021", "no memory to pack the body");
  }
  std::string in(bytes);  // zlib takes no const
  std::string out(deflateBound(&stream, in.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace millrace::net
