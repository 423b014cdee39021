// SPDX-License-Identifier: Apache-2.0
#include "services/worker/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

namespace millrace::worker {

Result<Fd> open_run_folder(const std::string& data_dir) {
  std::string path = data_dir + "/run";
  TRY(make_folders(path, 0700));
  Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return system_error(fmt::format("cannot open folder '{}'", path));
  struct stat info{};
  if (fstat(fd.get(), &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return Error(ErrorKind::Forbidden, "WRK-0006",
                 fmt::format("folder '{}' must belong to the user who runs the server, and to "
                             "nobody else (chmod 700)",
                             path));
  }
  return fd;
}

sockaddr_un socket_address(int run_fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto path = fmt::format("/proc/self/fd/{}/spawner.sock", run_fd);
  ASSERT(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace millrace::worker
