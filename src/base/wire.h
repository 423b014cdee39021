// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

// The bytes between two processes of Millrace. A frame is a u32 length and as many bytes. Integers
// are little-endian, a text is a u32 length and its bytes, a list is a u32 count and its elements.
// No length is trusted: a frame above kMaxFrame, a text longer than its frame, or a count of more
// elements than bytes are left breaks the connection.
inline constexpr uint32_t kMaxFrame = 32 << 20;
// Either side reads at most this much from the socket at once.
inline constexpr size_t kReadStep = 256 << 10;

// Appends one frame to `out`; `end` fills in its length.
class FrameWriter {
 public:
  explicit FrameWriter(std::string& out);
  FrameWriter& u8(uint8_t v);
  FrameWriter& u32(uint32_t v);
  FrameWriter& i64(int64_t v);
  FrameWriter& text(std::string_view v);
  FrameWriter& list(const std::vector<std::string>& v);
  // False, and `out` as it was, when the frame is too large to be sent.
  [[nodiscard]] bool end();

 private:
  std::string& out_;
  size_t start_;
};

// Reads the fields of one frame. After the first field that does not fit, all others read as
// zero or empty and `complete` is false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view frame) : rest_(frame) {}
  uint8_t u8();
  uint32_t u32();
  int64_t i64();
  std::string_view text();
  std::vector<std::string> list();
  // The number of elements that follow, each of at least `element_bytes`.
  uint32_t count(size_t element_bytes);
  // For grammars that know more than lengths: what was read does not fit.
  void spoil() { ok_ = false; }
  // All fields so far were there.
  bool fits() const { return ok_; }
  // All fields were there and nothing is left over.
  bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::string_view take(size_t n);

  std::string_view rest_;
  bool ok_ = true;
};

// Cuts a stream of bytes into frames. Flat: bytes that were handed out are dropped at the next
// `space`.
class FrameBuffer {
 public:
  // Room for at least `n` bytes of input; tell with `filled` how many came.
  char* space(size_t n);
  void filled(size_t n) { end_ += n; }
  void append(std::string_view bytes);

  // The next whole frame without its length, valid until the next `space` or `append`; none when
  // more bytes are needed. An error when the peer announces a frame above kMaxFrame.
  Result<std::optional<std::string_view>> next();

 private:
  std::vector<char> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace millrace
