// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/suggestions.h"

namespace millrace {
namespace {

constexpr size_t kLongestName = 64;

// How far a name may be from what it was meant to be.
constexpr size_t farthest(size_t length) { return std::max<size_t>(2, length / 3); }

// What is not below `bound` is only told to be that. `a` and `b`: a name and what may be near it.
size_t distance(std::string_view a, std::string_view b, size_t bound) {
  std::array<size_t, kLongestName + farthest(kLongestName) + 1> rows[3];
  size_t *before = rows[0].data(), *last = rows[1].data(), *row = rows[2].data();
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t least = row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
      least = std::min(least, row[j]);
    }
    // Letters that change places reach over this row: the one before has nothing below the bound.
    if (least > bound) return least;
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

template <typename String>
std::string nearest(std::string_view name, std::span<const String> candidates) {
  // No more is looked at for a hint: it costs the product of the names and of their lengths.
  constexpr size_t kMostCandidates = 1000;
  candidates = candidates.first(std::min(candidates.size(), kMostCandidates));
  if (name.size() > kLongestName) return {};
  size_t limit = farthest(name.size());
  std::string_view best;
  size_t best_distance = limit + 1;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > name.size() + limit || name.size() > candidate.size() + limit) continue;
    size_t d = distance(name, candidate, best_distance);
    if (d < best_distance && d < std::max(name.size(), candidate.size())) {
      best = candidate;
      best_distance = d;
    }
  }
  return std::string(best);
}

std::string suggestion(std::string found) {
  return found.empty() ? found : " (did you mean '" + found + "'?)";
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  return nearest(name, candidates);
}
std::string nearest_name(std::string_view name, std::span<const std::string> candidates) {
  return nearest(name, candidates);
}
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  return WithoutSuggestions::now() ? std::string() : suggestion(nearest(name, candidates));
}
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  return WithoutSuggestions::now() ? std::string() : suggestion(nearest(name, candidates));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == separator) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  return parts;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

namespace {
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
}  // namespace

bool iequals_ascii(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string to_lower_ascii(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string hex_encode(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
  return out;
}

namespace {
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    auto at = [&](size_t k) {
      return k < bytes.size() ? static_cast<uint32_t>(static_cast<unsigned char>(bytes[k])) : 0U;
    };
    uint32_t word = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    out += kBase64[word >> 18];
    out += kBase64[word >> 12 & 63];
    out += i + 1 < bytes.size() ? kBase64[word >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kBase64[word & 63] : '=';
  }
  return out;
}

bool base64_decode(std::string_view text, std::string& out) {
  static const std::array<int8_t, 256> kTable = [] {
    std::array<int8_t, 256> table{};
    table.fill(-1);
    for (int8_t i = 0; i < 64; ++i) table[static_cast<unsigned char>(kBase64[i])] = i;
    return table;
  }();
  out.clear();
  if (text.size() % 4 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 4) {
    bool last = i + 4 == text.size();
    int pad = last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
    uint32_t word = 0;
    for (size_t k = 0; k < 4; ++k) {
      int8_t digit =
          static_cast<int>(k) >= 4 - pad ? 0 : kTable[static_cast<unsigned char>(text[i + k])];
      if (digit < 0) return false;
      word = word << 6 | static_cast<uint32_t>(digit);
    }
    // Bits that stand for no byte: two texts would mean the same.
    if ((word & ((1U << 8 * pad) - 1)) != 0) return false;
    out += static_cast<char>(word >> 16);
    if (pad < 2) out += static_cast<char>(word >> 8 & 255);
    if (pad < 1) out += static_cast<char>(word & 255);
  }
  return true;
}

size_t find_in(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // Short texts and parts are found faster by trying each place; else that is quadratic.
  constexpr size_t kFew = 4096;
  if (part.size() <= 3 || (text.size() - from) * part.size() <= kFew) return text.find(part, from);
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

size_t rfind_in(std::string_view text, std::string_view part) {
  if (part.size() <= 2) return text.rfind(part);  // too short to be slow
  // The first place in the mirror.
  std::string mirrored(text.rbegin(), text.rend());
  size_t at = find_in(mirrored, std::string(part.rbegin(), part.rend()));
  return at == std::string_view::npos ? at : text.size() - at - part.size();
}

}  // namespace millrace
