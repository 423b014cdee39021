// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packs/files.h"

namespace millrace::packs {

// What a program or library for Linux asks of the machine that it runs on.
struct NativeFile {
  std::string machine;  // "x86_64", "aarch64", else a number
  std::string glibc;    // the newest GLIBC_ version that it names: "2.34"; empty: none
};

// Reads the header and the needed versions (SHT_GNU_verneed) of an ELF file, as elf(5) and the LSB
// have them. Nothing: it is none, or none of 64 bits in little-endian order. What is damaged in it
// is passed over.
std::optional<NativeFile> read_native_file(std::string_view bytes);

// "2.9" stands before "2.34".
bool is_newer_version(std::string_view one, std::string_view other);

// Of the files below actions/ and sensors/: what asks for another machine, or a newer GLIBC, than
// these. Paths are files.
std::vector<Problem> native_problems(const PackFiles& files, std::string_view machine,
                                     std::string_view glibc);

}  // namespace millrace::packs
