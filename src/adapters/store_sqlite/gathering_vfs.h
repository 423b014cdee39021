// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace millrace::store_sqlite {

// The name of a SQLite VFS over `base` (empty: the system's), registered on first use. It gathers
// writes that follow one another in the log or the main file and hands them on as one: SQLite
// writes a page of the log in two pieces, and a commit is dozens of pages. What is gathered is
// written before anything else is asked of the file, a sync above all, so that other connections
// and a crash find the same as without. A write that fails is told by what comes next.
// Thread-safe.
std::string gathering_vfs(const std::string& base);

}  // namespace millrace::store_sqlite
