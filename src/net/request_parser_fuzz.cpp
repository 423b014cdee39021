// SPDX-License-Identifier: Apache-2.0
// However a request is cut into pieces, the parser takes the same request. One that is wrong may be
// refused earlier or later.
#include <cstdint>
#include <cstdlib>

#include "net/request_parser.h"

namespace millrace::net {
namespace {

constexpr size_t kMaxHeader = 4096;
constexpr size_t kMaxBody = 1024;

// A request as text; "" when it is refused or more bytes are needed.
std::string outcome_of(std::string_view bytes, size_t piece) {
  HttpRequest request;
  RequestParser parser(request, kMaxHeader);
  bool head_done = false;
  size_t begin = 0;
  for (size_t end = 0; end < bytes.size();) {
    end = std::min(end + piece, bytes.size());
    RequestParser::Step step;
    do {
      std::string_view given = bytes.substr(begin, end - begin);
      step = head_done ? parser.read_body(given) : parser.read_head(given);
      begin += step.used;
      if (step.refusal) return "";
      if (step.progress != RequestParser::Progress::Done) break;
      if (head_done) return request.path + " " + request.body;
      head_done = true;
      parser.set_body_limit(kMaxBody);
    } while (true);
  }
  return "";
}

}  // namespace
}  // namespace millrace::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::net;
  std::string_view bytes(reinterpret_cast<const char*>(data), std::min(size, kMaxHeader - 1));
  if (outcome_of(bytes, bytes.size() + 1) != outcome_of(bytes, 1)) std::abort();
  return 0;
}
