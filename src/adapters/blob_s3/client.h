// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "adapters/blob_s3/signature.h"
#include "async/loop.h"
#include "async/scope.h"
#include "async/wakeup.h"
#include "base/result.h"
#include "net/http_client.h"
#include "net/url.h"

namespace millrace::blob_s3 {

struct Options {
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com"; empty: that of the region
  std::string region = "us-east-1";
  std::string bucket;
  std::string prefix;              // before every reference; empty, or ends with `/`
  std::optional<bool> path_style;  // the bucket in the path; nothing: where `endpoint` is given
  std::string sse;                 // x-amz-server-side-encryption; empty: the bucket's own
  std::string ca_file;             // PEM; trusted besides the system's
  std::chrono::milliseconds timeout{30'000};  // of each try
  int64_t part_bytes = 8 << 20;               // larger blobs go up in parts of that size
  // Asked at the start, and again when they are refused: they may have been replaced meanwhile.
  std::function<Result<Keys>()> keys;
  std::function<int64_t()> now_ms;             // Unix
  std::chrono::milliseconds first_pause{100};  // before a second try, at most; then twice as long
};

// What is asked of the bucket.
struct Question {
  std::string method = "GET";
  std::string key;  // "": the bucket itself
  Pairs query = {};
  Pairs headers = {};
  std::string body = {};
};
using Answer = net::ClientResponse;

// Asks one bucket, on a thread of its own with connections that are kept. What fails in a way that
// may pass (no connection, 429, 5xx, no answer in time) is tried five times, after pauses of
// chance that grow; a clock that is wrong is set right by the server's, once.
//
// Thread-safe; the calls block.
class Client {
 public:
  // Errors: Invalid, BLB-0004: the options; those of `keys`; Unavailable, ASY-0004.
  static Result<std::unique_ptr<Client>> open(Options options);
  ~Client();

  // What S3 answers with 2xx, 404, 412 or 416. Errors: Unavailable, BLB-0003, with S3's own code.
  Result<Answer> ask(Question question);
  const Options& options() const { return options_; }

 private:
  class Tries;
  Client(Options options, net::Url endpoint);
  Task<void> serve();
  Task<Result<Answer>> answer(Question question);
  Task<Result<Answer>> send(const Question& question);
  Result<Keys> keys();
  bool has_other_keys();
  Error failed(const Question& question, const Result<Answer>& last, int tries) const;

  const Options options_;
  const net::Url endpoint_;
  std::string host_;  // as the Host header has it
  std::mutex mutex_;
  Keys keys_;
  std::atomic<int64_t> ahead_ms_{0};  // how far the server's clock is ahead of ours

  async::Loop loop_;
  async::Scope scope_{loop_.executor()};
  async::Wakeup stop_{loop_.executor()};
  net::HttpClient http_;
  std::thread thread_;
};

}  // namespace millrace::blob_s3
