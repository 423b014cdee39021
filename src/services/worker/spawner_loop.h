// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/wire.h"
#include "kernel/work.h"
#include "services/worker/control.h"
#include "services/worker/epoll_tag.h"
#include "services/worker/posix.h"
#include "services/worker/process_notes.h"
#include "services/worker/process_walk.h"
#include "services/worker/recorder.h"
#include "services/worker/results.h"
#include "services/worker/slot.h"
#include "services/worker/spawner.h"
#include "services/worker/spawner_door.h"
#include "services/worker/warm.h"

namespace millrace::worker {

// What the loop is built from; spawner_main opens these.
struct SpawnerParts {
  SpawnerOptions options;
  std::string identity;     // names the data folder in the marker of its runs
  std::string cgroup_home;  // empty: trees are found by walking /proc
  std::string task_home;    // of TaskLimit; empty: there is none
  rlimit open_files{};      // of runs without a limit of their own
  int run_fd = -1;          // of the run folder, open as long as the loop
  SpawnerDoor door;
  Fd first_connection;  // inherited from the server that started it: needs no proof
  std::unique_ptr<kernel::Blobs> blobs;  // takes output and artifacts
  ResultShelf results;
  ProcessNotes notes;  // empty where there are cgroups
};

// Processes that are alive so long after SIGKILL (stuck in the kernel) are given up.
inline constexpr int64_t kRunGiveUpMs = 10'000;

// When the spawner counts what a run uses as a whole: so long after its start, which most runs do
// not live to see, then after twice as long, at last each second; sooner while it grows fast.
inline constexpr int64_t kFirstLookMs = 50;
inline constexpr int64_t kLongestLookMs = 1'000;

// Stdout, stderr, and the result of those that say one.
inline constexpr int kMostStreams = 3;

// Of a run, or of nobody yet. Both ends are closed by exec.
struct Pipes {
  Fd read_end[kMostStreams];  // non-blocking
  Fd write_end[kMostStreams];
};

// One process of an action with its tree, from launch until its tree is gone.
//
//   state    | its main process exits      | its deadline passes
//   Running  | settle                      | SIGTERM to the tree, deadline grace -> Ending
//   Ending   | settle                      | SIGKILL to the tree -> Killing
//   Killing  | settle                      | SIGKILL again; after 10 s finish as Lost
//   settle: the tree is empty -> finished, out of the table; else SIGKILL to the tree -> Killing
//
// A kill request is a deadline that passes at once.
struct Run {
  enum class State : uint8_t { Running, Ending, Killing };

  Run(Launch&& from, std::unique_ptr<Slot> in_slot, kernel::Blobs& blobs);

  Launch launch;
  std::unique_ptr<Slot> slot;
  State state = State::Running;
  std::optional<kernel::RunEnd> ended_by;  // set when the spawner ends the run
  std::string why;                         // of `ended_by`, where more is known than it says
  pid_t pid = 0;
  std::optional<int> status;  // of waitid, once the main process was reaped
  int64_t started_ms = 0;     // Unix
  int64_t deadline_ms = 0;    // monotonic; 0: none
  int64_t give_up_ms = 0;     // monotonic; of Killing
  int64_t look_ms = 0;        // monotonic: when what it uses is counted; 0: never
  int64_t look_every_ms = 0;  // the pause before that
  int64_t retry_ms = 0;       // of Killing: pause before the next SIGKILL
  std::shared_ptr<const SecretSet> secrets;
  // The write ends stay open here so that the end of a stream wakes nobody: the exit does.
  Fd read_end[kMostStreams];
  Fd write_end[kMostStreams];
  StreamRecorder recorder[kMostStreams];
  std::unique_ptr<Warm> warm;  // whose process this is; none: its own
  bool warm_goes_on = false;   // the call has ended, and the process has not
  int streams() const { return launch.says_result ? 3 : 2; }
};

// The spawner's event loop. Single-threaded; never blocks but to start a child and to sync a
// file of output.
class SpawnerLoop {
 public:
  static Result<std::unique_ptr<SpawnerLoop>> create(SpawnerParts parts);
  // Returns when no run is left and no server wants the spawner.
  void run();

 private:
  explicit SpawnerLoop(SpawnerParts parts);
  Result<void> set_up();

  // Events.
  bool finished();
  int wait_ms();
  void handle(EpollTag tag);
  bool is_homeless() const;
  void stop_runs();
  void on_signals();
  template <typename Step>
  void attend(Run& run, Step step);
  void reap();
  void on_output(int slot_index, kernel::Stream stream);
  void pass_deadlines();
  bool lease_is_over(int64_t now) const { return lease_ms_ > 0 && now >= lease_ms_; }
  void look_at_lease();

  // Runs (spawner_runs.cpp).
  void launch(Launch launch);
  void take_in(Launch launch);
  void fail(const kernel::RunKey& key, std::string why);
  Result<void> start(Run& run);
  static Result<Pipes> make_pipes(int count);
  void take_pipes(Run& run, Pipes pipes);
  void add_own_variables(const Slot& slot, const Launch& launch,
                         std::vector<std::string>& env) const;
  void begin(Run& run);
  void end(Run& run, kernel::RunEnd why);
  void pass_deadline(Run& run, int64_t now);
  void settle(Run& run);
  void kill_tree(Run& run);
  void signal_tree(const Run& run, int signal) const;
  std::vector<Process> walk_tree(const Run& run) const;
  bool tree_is_gone(const Run& run) const;
  bool read_output(Run& run, int stream, bool live);
  void record(Run& run, int stream, std::string_view bytes, bool live);
  void finish(Run& finished, bool tree_is_gone);
  void keep_output(Run& run, kernel::Completion& completion);
  // Processes that serve one call after another (spawner_warm.cpp).
  bool serve_warm(Launch& order);
  std::unique_ptr<Warm> warm_for(const Launch& order);
  Result<std::unique_ptr<Warm>> start_warm(const Launch& order);
  bool hand_over(Warm& warm, const Launch& order, const Pipes& pipes);
  void on_warm(int slot_index);
  void on_idle_output(int slot_index);
  void hear_warm(Run& run);
  void on_warm_frame(Run& run, const Value& said);
  void end_call(Run& run, int status);
  void rest(Run& run);
  void retire(std::unique_ptr<Warm> warm);
  void kill_warm(Warm& warm) const;
  void warm_is_gone(pid_t pid);
  void end_idle();
  int64_t next_idle_end_ms() const;
  void end_warm();
  // Limits of a run as a whole (spawner_limits.cpp).
  void look_at_limits();
  std::vector<std::vector<Process>> trees(const std::vector<Run*>& runs) const;
  void look_at(Run& run, const std::vector<Process>& tree, int64_t now);
  void look_again(Run& run, int64_t now, int64_t every_ms);
  void end_for(Run& run, std::string why);
  static std::string limit_at_end(const Run& run, const kernel::Completion& completion);
  void refuse(TenantId tenant, const kernel::RunKey& key, std::string why);
  void report(kernel::Completion completion);
  void set_deadline(Run& run, int64_t at_ms);
  void kill_strays() const;
  std::string marker(const kernel::RunKey& key) const;

  // The connection to the server (spawner_connection.cpp).
  void on_guest(int guest);
  void use_connection(Fd fd);
  void drop_connection();
  void on_readable();
  void on_frame(std::string_view frame);
  void greet();
  void flush();

  SpawnerParts parts_;
  Fd epoll_;
  Fd signals_;
  SlotPool slots_;
  Hello identity_;
  std::map<kernel::RunKey, std::unique_ptr<Run>> runs_;
  std::unordered_map<pid_t, Run*> by_pid_;  // null: of a warm process that no run has
  std::vector<Run*> by_slot_;
  std::map<kernel::RunKey, TenantId> held_;  // the server's own runs
  std::set<std::pair<int64_t, Run*>> deadlines_;
  int64_t lease_ms_ = 0;      // monotonic: until then runs may go on; 0: for ever
  int64_t next_look_ms_ = 0;  // the least of Run::look_ms, or earlier; 0: none
  std::vector<char> read_buffer_;

  std::vector<std::unique_ptr<Warm>> idle_;     // the longest idle first
  std::vector<std::unique_ptr<Warm>> leaving_;  // killed, not reaped yet
  int64_t warm_count_ = 0;                      // with those that runs have
  int64_t warm_number_ = 0;                     // of the last one that was started

  Fd connection_;
  FrameBuffer in_;
  std::string out_;
  bool waits_to_write_ = false;
  bool stopping_ = false;        // told by a signal: no new runs
  bool server_left_ = false;     // by Goodbye: nobody is expected back
  int64_t lonely_since_ms_ = 0;  // no server and no run since; 0: not so
};

}  // namespace millrace::worker
