// SPDX-License-Identifier: Apache-2.0
#include "services/worker/spawner_door.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/files.h"
#include "base/stderr.h"
#include "services/worker/control.h"
#include "services/worker/epoll_tag.h"

namespace millrace::worker {
namespace {

// More than one honest server ever needs. When all are taken, the one who has waited longest goes.
constexpr size_t kMostGuests = 8;

bool is_own_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

// Of equal lengths. Takes the same time whatever they hold.
bool same_bytes(std::string_view a, std::string_view b) {
  volatile unsigned char differs = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differs = differs | static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return differs == 0;
}

}  // namespace

Result<std::string> make_secret(const std::string& run_folder) {
  std::string secret(kSecretBytes, '\0');
  if (getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    return system_error("cannot make the spawner's secret");
  }
  TRY(replace_file(run_folder + "/spawner.secret", secret, 0600));
  return secret;
}

std::string read_secret(int run_fd) {
  Fd file(openat(run_fd, "spawner.secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  std::string secret(kSecretBytes, '\0');
  ssize_t n = file ? read(file.get(), secret.data(), secret.size()) : -1;
  return n == static_cast<ssize_t>(secret.size()) ? secret : std::string();
}

SpawnerDoor::SpawnerDoor(Fd listener, const std::string& secret)
    : listener_(std::move(listener)), guests_(kMostGuests) {
  encode(proof_, Proof{secret});
}

void SpawnerDoor::watch_with(int epoll) {
  epoll_ = epoll;
  watch(epoll_, listener_.get(), EPOLLIN, {EpollTag::Listener});
}

SpawnerDoor::Guest& SpawnerDoor::seat() {
  auto empty = std::ranges::find_if(guests_, [](const Guest& guest) { return !guest.fd; });
  if (empty != guests_.end()) return *empty;
  return *std::ranges::min_element(guests_, {}, &Guest::until_ms);
}

void SpawnerDoor::open() {
  Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd || !is_own_user(fd.get())) return;
  Guest& guest = seat();
  guest = {std::move(fd), {}, monotonic_ms() + kProofMs};
  watch(epoll_, guest.fd.get(), EPOLLIN, {EpollTag::Guest, static_cast<int>(&guest - &guests_[0])});
}

Fd SpawnerDoor::hear(int index) {
  if (index < 0 || static_cast<size_t>(index) >= guests_.size()) return {};
  Guest& guest = guests_[static_cast<size_t>(index)];
  if (!guest.fd) return {};
  // Not one byte more: the rest is the connection's.
  std::array<char, 4 + 1 + 4 + kSecretBytes> bytes;
  ASSERT(proof_.size() == bytes.size() && guest.said.size() < bytes.size());
  ssize_t n = recv(guest.fd.get(), bytes.data(), bytes.size() - guest.said.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (n > 0) guest.said.append(bytes.data(), static_cast<size_t>(n));
  if (n > 0 && guest.said.size() < proof_.size()) return {};
  Guest left = std::move(guest);
  guest = {};
  epoll_ctl(epoll_, EPOLL_CTL_DEL, left.fd.get(), nullptr);
  if (n > 0 && same_bytes(left.said, proof_)) return std::move(left.fd);
  put_stderr("spawner: a connection without the secret of the run folder is closed\n");
  return {};
}

int64_t SpawnerDoor::close_late(int64_t now_ms) {
  int64_t next = 0;
  for (Guest& guest : guests_) {
    if (!guest.fd) continue;
    if (guest.until_ms <= now_ms) {
      guest = {};
    } else if (next == 0 || guest.until_ms < next) {
      next = guest.until_ms;
    }
  }
  return next;
}

}  // namespace millrace::worker
