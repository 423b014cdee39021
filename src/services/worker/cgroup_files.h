// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::worker {

// The files of a cgroup, v1 or v2, by the descriptor of its folder.
std::string read_cgroup_file(int folder, const char* name);
// False where there is no such file: its controller is not enabled.
bool write_cgroup_file(int folder, const char* name, std::string_view text);
// The number behind `key` in a file of lines `KEY NUMBER`; 0 when there is none.
int64_t cgroup_count(int folder, const char* name, std::string_view key);
// What pids.max and memory.max take; 0: any.
std::string cgroup_most(int64_t most);

// Where this process is in the tree of a controller of v1, or in v2's (empty): the path of its
// folder. Empty: no such tree is mounted.
std::string own_cgroup_folder(std::string_view controller);
// Removes the folders in `home`, and `home`, as far as nothing is inside.
void remove_cgroup_folders(const std::string& home);

}  // namespace millrace::worker
