// SPDX-License-Identifier: Apache-2.0
#include "services/worker/warm.h"

#include <fmt/format.h>

#include "base/json.h"

namespace millrace::worker {
namespace {

constexpr size_t kLengthBytes = 4;

void append_length(std::string& out, size_t length) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 0xff);
}

}  // namespace

std::string warm_frame(const Launch& launch, const std::vector<std::string>& env,
                       std::string_view cwd, int64_t number) {
  std::string body = launch.warm.sdk == Sdk::Node
                         ? fmt::format(R"({{"call":{},"key":"own")", number)
                         : fmt::format(R"({{"id":{},{})", number,
                                       launch.warm.reuse == Reuse::Fork
                                           ? R"("reuse":"fork","preload":true)"
                                           : R"("reuse":"process","inline_result":true)");
  body += R"(,"cwd":)";
  append_json_string(body, cwd);
  body += R"(,"env":{)";
  bool is_first = true;
  for (std::string_view entry : env) {
    size_t equals = entry.find('=');
    if (!is_first) body += ',';
    is_first = false;
    append_json_string(body, entry.substr(0, equals));
    body += ':';
    append_json_string(body, entry.substr(equals + 1));
  }
  body += "},";
  body += std::string_view(launch.parameters).substr(1);  // the order is an object with members
  std::string frame;
  append_length(frame, body.size());
  return frame += body;
}

Result<bool> take_warm_frame(std::string& in, std::string& frame) {
  if (in.size() < kLengthBytes) return false;
  size_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(in[i]);
  }
  if (length > kMostWarmFrame) {
    return Error(ErrorKind::Invalid, "WRK-0011",
                 fmt::format("its runtime sent a frame of {} bytes, at most {} are taken", length,
                             kMostWarmFrame));
  }
  if (in.size() < kLengthBytes + length) return false;
  frame = in.substr(kLengthBytes, length);
  in.erase(0, kLengthBytes + length);
  return true;
}

}  // namespace millrace::worker
