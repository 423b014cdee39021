// SPDX-License-Identifier: Apache-2.0
#include "services/worker/control.h"

#include "base/fuzzing.h"
#include "base/wire.h"

namespace millrace::worker {
namespace {

void append(std::string& out, const Chunk& chunk) {
  encode_chunk(out, chunk.key, chunk.stream, chunk.offset, chunk.bytes);
}
template <typename Message>
void append(std::string& out, const Message& message) {
  if constexpr (requires(bool fits) { fits = encode(out, message); }) {
    ASSERT(encode(out, message));
  } else {
    encode(out, message);
  }
}

std::string written(const Frame& frame) {
  std::string out;
  std::visit([&](const auto& message) { append(out, message); }, frame);
  return out;
}

std::vector<std::string> frames_of(std::string_view bytes, size_t piece) {
  std::vector<std::string> frames;
  FrameBuffer buffer;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    buffer.append(bytes.substr(0, piece));
    for (;;) {
      auto next = buffer.next();
      if (!next.ok()) return frames;
      if (!*next) break;
      frames.emplace_back(**next);
    }
  }
  return frames;
}

// A stream is cut into the same frames however it comes; a frame that is read is written as one
// that reads the same.
FUZZ(control) {
  auto frames = frames_of(input, input.size() + 1);
  ASSERT(frames == frames_of(input, 1));
  for (const auto& bytes : frames) {
    auto frame = decode(bytes);
    if (!frame.ok()) continue;
    if (const auto* hello = std::get_if<Hello>(&*frame)) fuzz::plant(hello->pid < 0);
    std::string once = written(*frame);
    auto again = decode(std::string_view(once).substr(sizeof(uint32_t)));
    ASSERT(again.ok());
    ASSERT(written(*again) == once);
  }
}

}  // namespace
}  // namespace millrace::worker
