// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/un.h>

#include <string>

#include "base/result.h"
#include "services/worker/posix.h"

namespace millrace::worker {

// The folder {data}/run, mode 0700, where a server and its spawner meet:
//
//   spawner.sock   the listening control socket
//   spawner.secret 32 bytes, 0600: who connects shows them first (spawner_door.h)
//   spawner.lock   locked by the living spawner
//   spawner.state  boot id and cgroup home of a spawner, for its successor
//   spawner.log    what a spawner has to complain about
//   results/       results that no server has acknowledged
//   slots/         the temp folders of runs
//   processes      main processes of runs; only where there are no cgroups
Result<Fd> open_run_folder(const std::string& data_dir);

// The address of spawner.sock. It goes through the folder's descriptor: a socket's path may have
// 107 bytes only, a data folder's may have more. Valid while `run_fd` is open.
sockaddr_un socket_address(int run_fd);

// A new spawner begins with its first control connection at this descriptor.
inline constexpr int kFirstConnectionFd = 3;
inline constexpr char kSpawnerName[] = "millrace-spawner";

}  // namespace millrace::worker
