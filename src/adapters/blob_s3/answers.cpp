// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_s3/answers.h"

#include <charconv>
#include <optional>

#include "net/http.h"

namespace millrace::blob_s3 {
namespace {

Error no_list(std::string_view why) {
  return Error(ErrorKind::Unavailable, "BLB-0003",
               "S3 gave a list of blobs that cannot be read: " + std::string(why));
}

// The inside of the first element of that name at `from` or later; `from` is then behind it.
std::optional<std::string_view> inside(std::string_view xml, std::string_view element,
                                       size_t& from) {
  std::string open = '<' + std::string(element) + '>';
  std::string close = "</" + std::string(element) + '>';
  size_t begin = xml.find(open, from);
  if (begin == xml.npos) return std::nullopt;
  begin += open.size();
  size_t end = xml.find(close, begin);
  if (end == xml.npos) return std::nullopt;
  from = end + close.size();
  return xml.substr(begin, end - begin);
}

std::string without_entities(std::string_view text) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"&amp;", '&'},   {"&lt;", '<'},  {"&gt;", '>'},   {"&quot;", '"'},
      {"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}, {"&#x27;", '\''}};
  std::string plain;
  while (!text.empty()) {
    bool is_entity = false;
    for (const auto& [entity, c] : kNamed) {
      if (!text.starts_with(entity)) continue;
      plain += c;
      text.remove_prefix(entity.size());
      is_entity = true;
      break;
    }
    if (is_entity) continue;
    plain += text.front();
    text.remove_prefix(1);
  }
  return plain;
}

}  // namespace

std::string text_of(std::string_view xml, std::string_view element) {
  size_t from = 0;
  return without_entities(inside(xml, element, from).value_or(std::string_view()));
}

Result<ListPage> read_list(std::string_view xml) {
  if (xml.find("<ListBucketResult") == xml.npos) return no_list("expected ListBucketResult");
  ListPage page;
  size_t from = 0;
  while (auto entry = inside(xml, "Contents", from)) {
    Listed listed;
    if (!net::percent_decode(text_of(*entry, "Key"), true, listed.key)) {
      return no_list("a key that is not encoded as a URL");
    }
    std::string size = text_of(*entry, "Size");
    auto [end, wrong] = std::from_chars(size.data(), size.data() + size.size(), listed.size);
    if (wrong != std::errc() || end != size.data() + size.size() || listed.size < 0) {
      return no_list("a size that is no number");
    }
    page.entries.push_back(std::move(listed));
  }
  if (text_of(xml, "IsTruncated") == "true") page.next = text_of(xml, "NextContinuationToken");
  return page;
}

}  // namespace millrace::blob_s3
