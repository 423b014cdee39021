// SPDX-License-Identifier: Apache-2.0
// However a request is cut into pieces, the parser takes the same request. One that is wrong may be
// refused earlier or later.
#include "base/fuzzing.h"
#include "net/request_parser.h"

namespace millrace::net {
namespace {

constexpr size_t kMaxHeader = 4096;
constexpr size_t kMaxBody = 1024;

// A request as text; "" when it is refused or more bytes are needed.
std::string request_of(std::string_view bytes, size_t piece) {
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
      if (head_done) {
        ASSERT(request.body.size() <= kMaxBody);
        if (fuzz::planted() && piece == 1 && request.body.size() == 2) request.body += 'x';
        return request.path + " " + request.body;
      }
      head_done = true;
      parser.set_body_limit(kMaxBody);
    } while (true);
  }
  return "";
}

FUZZ(request_parser) {
  input = input.substr(0, kMaxHeader - 1);
  ASSERT(request_of(input, input.size() + 1) == request_of(input, 1));
}

}  // namespace
}  // namespace millrace::net
