// SPDX-License-Identifier: Apache-2.0
// However a response is cut into pieces, the parser takes the same response. One that is wrong may
// be refused earlier or later.
#include "base/fuzzing.h"
#include "net/response_parser.h"

namespace millrace::net {
namespace {

// "" when the response is refused or not complete.
std::string response_of(std::string_view bytes, size_t piece) {
  ClientResponse response;
  HttpClient::OnPiece nobody;
  ResponseParser parser(response, false, 1024, nobody);
  size_t begin = 0;
  for (size_t end = 0; end < bytes.size();) {
    end = std::min(end + piece, bytes.size());
    auto used = parser.read(bytes.substr(begin, end - begin));
    if (!used.ok()) return "";
    begin += *used;
    if (parser.done()) {
      fuzz::plant(response.status == 404 && response.body.size() == 3);
      return std::to_string(response.status) + " " + response.body;
    }
  }
  return parser.started() && parser.read_end().ok() ? response.body : "";
}

FUZZ(response_parser) { ASSERT(response_of(input, input.size() + 1) == response_of(input, 1)); }

}  // namespace
}  // namespace millrace::net
