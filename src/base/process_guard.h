// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace {

// Keeps what this process holds in memory, keys and tokens among it, from others of its user: no
// ptrace, no /proc/PID/mem or environ, no core file. What it executes is as open as any process;
// its own limit of core files it has to be given back. A program with this in it also holds the
// numbers of stdin, stdout and stderr from its start, where they are closed.
void guard_process();

}  // namespace millrace
