// SPDX-License-Identifier: Apache-2.0
#include "app/s3_room.h"

#include <cstdlib>

#include "adapters/blob_s3/blob_s3.h"
#include "base/files.h"
#include "base/text.h"
#include "base/time.h"

namespace millrace::app {
namespace {

constexpr size_t kLargestKeyFile = 16 << 10;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Result<std::string> from_file_or(const std::string& file, const char* name) {
  if (file.empty()) return environment(name);
  TRY(auto text, read_file(file, kLargestKeyFile));
  return std::string(trim(text));
}

Result<blob_s3::Keys> keys_of(const S3Section& section) {
  blob_s3::Keys keys;
  TRY(keys.access, from_file_or(section.access_key_file, "AWS_ACCESS_KEY_ID"));
  TRY(auto secret, from_file_or(section.secret_key_file, "AWS_SECRET_ACCESS_KEY"));
  TRY(auto session, from_file_or(section.session_token_file, "AWS_SESSION_TOKEN"));
  keys.secret = Secret(std::move(secret));
  keys.session = Secret(std::move(session));
  if (!keys.access.empty() && !keys.secret.empty()) return keys;
  return Error(ErrorKind::Invalid, "BLB-0004",
               "blob.s3: expected keys in access_key_file and secret_key_file, or in "
               "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}

std::optional<bool> style_of(PathStyle style) {
  if (style == PathStyle::Auto) return std::nullopt;
  return style == PathStyle::Always;
}

}  // namespace

Result<std::unique_ptr<kernel::Blobs>> open_s3_room(const S3Section& section) {
  if (section.bucket.empty()) return std::unique_ptr<kernel::Blobs>();
  std::string endpoint = section.endpoint.empty() ? environment("S3_ENDPOINT") : section.endpoint;
  std::string region = section.region.empty() ? environment("AWS_REGION") : section.region;
  return blob_s3::open({.endpoint = endpoint,
                        .region = region.empty() ? "us-east-1" : region,
                        .bucket = section.bucket,
                        .prefix = section.prefix,
                        .path_style = style_of(section.path_style),
                        .sse = section.sse,
                        .ca_file = section.ca_file,
                        .timeout = std::chrono::milliseconds(section.timeout_ms),
                        .part_bytes = section.part_bytes,
                        .keys = [section] { return keys_of(section); },
                        .now_ms = unix_ms});
}

}  // namespace millrace::app
