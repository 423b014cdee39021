// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What S3 says, in XML: flat elements of known names, without attributes that matter.
namespace millrace::blob_s3 {

// The text of the first element of that name, entities resolved; "" when there is none.
std::string text_of(std::string_view xml, std::string_view element);

struct Listed {
  std::string key;
  int64_t size = 0;
};
struct ListPage {
  std::vector<Listed> entries;
  std::string next;  // of the page that follows; empty: there is none
};
// Of ListObjectsV2 with encoding-type=url. Errors: Unavailable, BLB-0003: it is none.
Result<ListPage> read_list(std::string_view xml);

}  // namespace millrace::blob_s3
