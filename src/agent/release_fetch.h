// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "agent/release_archive.h"

namespace millrace::agent {

// Brings releases to this machine, piece by piece. What has come of one lies in FOLDER/DIGEST.part,
// so that the next connection, or the next process, goes on there.
//
// Thread-safe; files are written by whoever receives.
class ReleaseFetch {
 public:
  struct Outside {
    // Sends it. False: there is no session.
    std::function<bool(WantRelease)> ask;
    // Checks the files against the digest and stages them.
    std::function<Result<void>(const std::string& pack, const std::string& digest,
                               const ReleaseFiles& files)>
        install;
  };
  ReleaseFetch(std::string folder, Outside outside);

  // `ready` is called once the release is staged, or why it cannot be had. Several may wait for
  // one.
  void want(const std::string& pack, const std::string& digest,
            std::function<void(Result<void>)> ready);
  void came(const ReleasePiece& piece);
  // The session is over: who waits is told, and asks again in the next one.
  void give_up();

 private:
  struct Coming {
    std::string pack;
    int64_t have = 0;
    std::vector<std::function<void(Result<void>)>> waiting;
  };
  std::string path_of(const std::string& digest) const { return folder_ + "/" + digest + ".part"; }
  // What is there of it, after the piece; AGT-0005: it is not what was asked for.
  Result<int64_t> append(const ReleasePiece& piece, int64_t have) const;
  Result<void> finish(const ReleasePiece& last) const;
  void end(const std::string& digest, const Result<void>& how);

  std::string folder_;
  Outside outside_;
  std::mutex mutex_;
  std::map<std::string, Coming> coming_;  // by digest
};

}  // namespace millrace::agent
