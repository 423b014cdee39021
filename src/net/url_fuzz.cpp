// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/fuzzing.h"
#include "net/http.h"
#include "net/sse.h"
#include "net/url.h"

namespace millrace::net {
namespace {

bool is_clean(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c != 0x7f; });
}

// A URL that is taken can be sent: nothing in it ends a line of the request. Written out it is the
// same one. A line with a URL, then what a Location header says.
FUZZ(url) {
  fuzz::Reader in(input);
  auto url = parse_url(in.line());
  if (!url.ok()) return;
  auto check = [](const Url& found) {
    ASSERT(is_clean(found.host) && !found.host.empty());
    ASSERT(is_clean(found.target) && found.target.starts_with('/'));
    std::string scheme = found.tls ? "https://" : "http://";
    std::string target = found.target;
    if (fuzz::planted() && found.host.contains(':') && target.contains('%')) target += '=';
    auto again = parse_url(scheme + found.authority() + target);
    ASSERT(again.ok());
    ASSERT(again->same_server(found) && again->target == found.target);
  };
  check(*url);
  if (auto next = resolve_url(*url, in.rest()); next.ok()) check(*next);
}

// Any bytes come back from their escapes; a query is the fields that it was made of.
FUZZ(query) {
  std::string text;
  ASSERT(percent_decode(percent_encode(input), false, text) && text == input);
  std::vector<std::pair<std::string, std::string>> fields;
  if (!parse_query(input, fields)) return;
  std::string query;
  for (const auto& [name, value] : fields) {
    bool broken = fuzz::planted() && fields.size() > 2 && value.contains(' ');
    query += percent_encode(name) + '=' + percent_encode(broken ? name : value) + '&';
  }
  if (!query.empty()) query.pop_back();
  std::vector<std::pair<std::string, std::string>> again;
  ASSERT(parse_query(query, again));
  ASSERT(again == fields);
}

// Events are the same however the stream is cut, and those that are written are read.
FUZZ(sse) {
  auto events_of = [](std::string_view stream, size_t piece) {
    std::vector<std::string> events;
    SseParser parser;
    parser.set_max_event_bytes(256);
    for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
      bool is_whole = parser.feed(stream.substr(0, piece), [&](const SseEvent& event) {
        events.push_back(event.id + '\0' + event.event + '\0' + event.data);
      });
      if (!is_whole) return std::vector<std::string>{"broken"};
    }
    return events;
  };
  auto whole = events_of(input, input.size() + 1);
  fuzz::plant(whole.size() > 1 && whole[1].contains('\n'));
  bool is_long = std::ranges::find(whole, "broken") != whole.end();
  auto cut = events_of(input, 1);
  // What is too long may be found earlier.
  if (!is_long && std::ranges::find(cut, "broken") == cut.end()) ASSERT(whole == cut);

  std::string stream;
  append_sse_event(stream, "7", "x", input);
  std::vector<std::string> data;
  SseParser parser;
  ASSERT(parser.feed(stream, [&](const SseEvent& event) { data.push_back(event.data); }));
  ASSERT(data.size() == 1);
  if (!input.contains('\r')) ASSERT(data[0] == input);
}

}  // namespace
}  // namespace millrace::net
