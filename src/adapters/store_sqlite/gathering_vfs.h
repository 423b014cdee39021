// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace millrace::store_sqlite {

// The name of a SQLite VFS over `base` (empty: the system's), registered on first use. It gathers
// writes that follow one another in the log and hands them on as one: SQLite writes a page of the
// log in two pieces, and a commit is dozens of pages. What is gathered is written before anything
// else is asked of the log's file, a sync above all. A write that fails is told by what comes next.
//
// For `synchronous=FULL`: each commit then syncs the log before others may see it, and so they, and
// a crash, find the same as without. The main file is left alone: SQLite takes its pages for moved
// without another word to the file, and would not hear that one was not written. Thread-safe.
std::string gathering_vfs(const std::string& base);

}  // namespace millrace::store_sqlite
