// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "base/result.h"
#include "kernel/work.h"

// What an agent, a worker on another machine, and its server say to each other. A connection keeps
// the order of what is said on it, and may break at any time; nothing is said on the next one that
// was not begun there: the agent opens a session anew, and names what it runs.
//
//   agent                                 server
//   Hello                            ->
//                                    <-   Welcome, or Refused: no session, say Hello again later
//   Renew                            ->
//                                    <-   Renewed, or Over: the session is; say Hello again
//                                    <-   Grant, Cancel
//   Preparing, Prepared              ->
//                                    <-   Go: of what was prepared
//   Output (live)                    ->
//                                    <-   OutputTaken, or OutputWanted: from there on, please
//   Blob (what a run has left)       ->
//                                    <-   BlobTaken: send what follows
//   Finished                         ->
//                                    <-   Acknowledged: durable, forget the run
//   WantRelease                      ->
//                                    <-   ReleasePiece
//                                    <-   Drain: take your leave when your runs have ended
//   Draining                         ->   nothing more is granted
//   Leave                            ->
namespace millrace::agent {

// Opens a session; it ends the one before, on whatever connection that was.
struct Hello {
  kernel::WorkerHello worker;
};
struct Renew {
  int64_t seq = 0;
};
struct Preparing {
  kernel::RunKey key;
  std::string what;
};
struct Prepared {
  kernel::RunKey key;
};
// A live piece of output. `lost_before`: the agent does not have what lies before it, so that it
// is of no use to ask; what the run has left as a whole comes at its end.
struct Output {
  kernel::RunKey key;
  kernel::Stream stream = kernel::Stream::Stdout;
  int64_t offset = 0;
  std::string bytes;
  bool lost_before = false;
};
// A piece of a file that a run has left, by its name there (upload.h). The next one is sent
// when this one is taken. `size` is that of the whole.
struct Blob {
  kernel::RunKey key;
  std::string part;
  int64_t offset = 0;
  std::string bytes;
  int64_t size = 0;
};
// Streams that are blobs were taken before.
struct Finished {
  kernel::Completion completion;
};
struct Draining {};
struct Leave {};
// A release that an order names.
struct WantRelease {
  std::string pack;
  std::string digest;
  int64_t offset = 0;
};
using FromAgent = std::variant<Hello, Renew, Preparing, Prepared, Output, Blob, Finished,
                               WantRelease, Draining, Leave>;

struct Welcome {
  kernel::Session session;  // without `since_ms`
};
struct Refused {
  ErrorKind kind = ErrorKind::Unavailable;
  std::string code;
  std::string message;
};
struct Renewed {
  int64_t seq = 0;
};
struct Over {};
struct Grant {
  kernel::WorkOrder order;
};
struct Cancel {
  Of<kernel::RunKey> run;
  std::string reason;
};
struct Go {
  kernel::RunKey key;
  bool go = false;
};
// All before `offset` has come.
struct OutputTaken {
  kernel::RunKey key;
  kernel::Stream stream = kernel::Stream::Stdout;
  int64_t offset = 0;
};
struct OutputWanted {
  kernel::RunKey key;
  kernel::Stream stream = kernel::Stream::Stdout;
  int64_t offset = 0;
};
// All before `offset` is stored; of the whole it is durable.
struct BlobTaken {
  kernel::RunKey key;
  std::string part;
  int64_t offset = 0;
};
struct Acknowledged {
  kernel::RunKey key;
};
// Of the release's archive (release_archive.h). `error`: it cannot be had; for people.
struct ReleasePiece {
  std::string pack;
  std::string digest;
  int64_t offset = 0;
  int64_t size = 0;
  std::string bytes;
  std::string error;
};
struct Drain {
  int64_t deadline_ms = 0;  // from now
};
using ToAgent = std::variant<Welcome, Refused, Renewed, Over, Grant, Cancel, Go, OutputTaken,
                             OutputWanted, BlobTaken, Acknowledged, ReleasePiece, Drain>;

// The most bytes in one Output, Blob or ReleasePiece.
inline constexpr int64_t kPieceBytes = 256 << 10;

// One end's way to the other: takes a message and sends it, in order, in its own time. Neither
// calls back nor waits. Any thread. After it is closed, or the connection has broken, what it is
// given goes nowhere.
template <typename Message>
class Link {
 public:
  virtual ~Link() = default;
  virtual void send(Message message) = 0;
  // Ends the connection; whoever owns it then says that it is gone.
  virtual void close(const Error& why) = 0;
};

}  // namespace millrace::agent
