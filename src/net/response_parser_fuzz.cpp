// SPDX-License-Identifier: Apache-2.0
// However a response is cut into pieces, the parser takes the same response. One that is wrong may
// be refused earlier or later.
#include <cstdint>
#include <cstdlib>

#include "net/response_parser.h"

namespace millrace::net {
namespace {

// "" when the response is refused or not complete.
std::string outcome_of(std::string_view bytes, size_t piece) {
  ClientResponse response;
  HttpClient::OnPiece nobody;
  ResponseParser parser(response, false, 1024, nobody);
  size_t begin = 0;
  for (size_t end = 0; end < bytes.size();) {
    end = std::min(end + piece, bytes.size());
    auto used = parser.read(bytes.substr(begin, end - begin));
    if (!used.ok()) return "";
    begin += *used;
    if (parser.done()) return std::to_string(response.status) + " " + response.body;
  }
  return parser.started() && parser.read_end().ok() ? response.body : "";
}

}  // namespace
}  // namespace millrace::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::net;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (outcome_of(bytes, bytes.size() + 1) != outcome_of(bytes, 1)) std::abort();
  return 0;
}
