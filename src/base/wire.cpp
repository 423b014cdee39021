// SPDX-License-Identifier: Apache-2.0
#include "base/wire.h"

#include <fmt/format.h>

#include <cstring>

namespace millrace {
namespace {

template <typename Int>
void append_int(std::string& out, Int v) {
  char bytes[sizeof v];
  for (size_t i = 0; i < sizeof v; ++i) {
    bytes[i] = static_cast<char>(static_cast<uint64_t>(v) >> (8 * i) & 0xff);
  }
  out.append(bytes, sizeof v);
}

template <typename Int>
Int read_int(std::string_view bytes) {
  uint64_t v = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    v |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return static_cast<Int>(v);
}

}  // namespace

FrameWriter::FrameWriter(std::string& out) : out_(out), start_(out.size()) {
  append_int<uint32_t>(out_, 0);
}

FrameWriter& FrameWriter::u8(uint8_t v) {
  out_ += static_cast<char>(v);
  return *this;
}

FrameWriter& FrameWriter::u32(uint32_t v) {
  append_int(out_, v);
  return *this;
}

FrameWriter& FrameWriter::i64(int64_t v) {
  append_int(out_, v);
  return *this;
}

FrameWriter& FrameWriter::text(std::string_view v) {
  // A longer text makes the frame too large anyway; `end` finds that by the total.
  append_int(out_, static_cast<uint32_t>(v.size()));
  out_.append(v.substr(0, size_t{kMaxFrame} + 1));
  return *this;
}

FrameWriter& FrameWriter::list(const std::vector<std::string>& v) {
  u32(static_cast<uint32_t>(v.size()));
  for (const auto& element : v) text(element);
  return *this;
}

bool FrameWriter::end() {
  size_t size = out_.size() - start_ - sizeof(uint32_t);
  if (size > kMaxFrame) {
    out_.resize(start_);
    return false;
  }
  std::string length;
  append_int(length, static_cast<uint32_t>(size));
  out_.replace(start_, length.size(), length);
  return true;
}

std::string_view FrameReader::take(size_t n) {
  if (!ok_ || n > rest_.size()) {
    ok_ = false;
    return {};
  }
  std::string_view taken = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return taken;
}

uint8_t FrameReader::u8() { return read_int<uint8_t>(take(1)); }
uint32_t FrameReader::u32() { return read_int<uint32_t>(take(4)); }
int64_t FrameReader::i64() { return read_int<int64_t>(take(8)); }
std::string_view FrameReader::text() { return take(u32()); }

uint32_t FrameReader::count(size_t element_bytes) {
  uint32_t n = u32();
  if (n > rest_.size() / element_bytes) ok_ = false;
  return ok_ ? n : 0;
}

std::vector<std::string> FrameReader::list() {
  std::vector<std::string> elements(count(sizeof(uint32_t)));
  for (auto& element : elements) element = text();
  return elements;
}

char* FrameBuffer::space(size_t n) {
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  constexpr size_t kKept = 1 << 20;  // one large frame must not stay for good
  if (end_ == 0 && bytes_.size() > kKept) bytes_ = {};
  if (bytes_.size() < end_ + n) bytes_.resize(end_ + n);
  return bytes_.data() + end_;
}

void FrameBuffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(space(bytes.size()), bytes.data(), bytes.size());
  filled(bytes.size());
}

Result<std::optional<std::string_view>> FrameBuffer::next() {
  std::string_view pending(bytes_.data() + begin_, end_ - begin_);
  if (pending.size() < sizeof(uint32_t)) return std::optional<std::string_view>();
  auto size = read_int<uint32_t>(pending.substr(0, sizeof(uint32_t)));
  if (size > kMaxFrame) {
    return Error(
        ErrorKind::Invalid, "BAS-0011",
        fmt::format("a frame of {} bytes is announced, at most {} are allowed", size, kMaxFrame));
  }
  if (pending.size() - sizeof(uint32_t) < size) return std::optional<std::string_view>();
  begin_ += sizeof(uint32_t) + size;
  return std::optional(pending.substr(sizeof(uint32_t), size));
}

}  // namespace millrace
