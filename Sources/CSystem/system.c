#include "csystem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call)                    \
  do {                                  \
    int result_ = (call);               \
    return result_ < 0 ? -errno : result_; \
  } while (0)

// --- errno values and texts -------------------------------------------------------------------------------------

const int32_t csystem_eagain = EAGAIN, csystem_eintr = EINTR, csystem_einprogress = EINPROGRESS, csystem_emfile = EMFILE,
              csystem_enfile = ENFILE, csystem_enobufs = ENOBUFS, csystem_enomem = ENOMEM, csystem_eaddrinuse = EADDRINUSE,
              csystem_eaddrnotavail = EADDRNOTAVAIL, csystem_eafnosupport = EAFNOSUPPORT, csystem_econnrefused = ECONNREFUSED,
              csystem_econnreset = ECONNRESET, csystem_epipe = EPIPE, csystem_etimedout = ETIMEDOUT, csystem_enoent = ENOENT,
              csystem_ebadf = EBADF, csystem_eacces = EACCES, csystem_econnaborted = ECONNABORTED, csystem_einval = EINVAL,
              csystem_enotconn = ENOTCONN;

void csystem_error_text(int32_t error, char *buffer, size_t capacity) {
  // The GNU form: it may return a static string instead of filling the buffer.
  const char *text = strerror_r(error, buffer, capacity);
  if (text != buffer) snprintf(buffer, capacity, "%s", text);
}

// --- epoll ------------------------------------------------------------------------------------------------------

_Static_assert(EPOLLIN == 0x1 && EPOLLOUT == 0x4 && EPOLLERR == 0x8 && EPOLLHUP == 0x10 && EPOLLRDHUP == 0x2000, "Readiness.swift");
_Static_assert(EPOLLET == 1u << 31, "Readiness.swift");

int32_t csystem_epoll_create(void) { RESULT(epoll_create1(EPOLL_CLOEXEC)); }

static int32_t control(int32_t epoll, int operation, int32_t fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  RESULT(epoll_ctl(epoll, operation, fd, &event));
}

int32_t csystem_epoll_add(int32_t epoll, int32_t fd, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int32_t csystem_epoll_modify(int32_t epoll, int32_t fd, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int32_t csystem_epoll_remove(int32_t epoll, int32_t fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int32_t csystem_epoll_wait(int32_t epoll, csystem_event *events, int32_t capacity, int32_t timeout_millis) {
  // epoll_event is packed on x86-64 only, so the kernel's array is copied into one of our own layout.
  struct epoll_event raw[256];
  if (capacity > 256) capacity = 256;
  int count = epoll_wait(epoll, raw, capacity, timeout_millis);
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    events[i].events = raw[i].events;
    events[i].data = raw[i].data.u64;
  }
  return count;
}

// --- waking and signals -----------------------------------------------------------------------------------------

int32_t csystem_eventfd(void) { RESULT(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

void csystem_eventfd_signal(int32_t fd) {
  uint64_t one = 1;
  while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void csystem_eventfd_clear(int32_t fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

int32_t csystem_signalfd(const int32_t *signals, int32_t count) {
  sigset_t set;
  sigemptyset(&set);
  for (int32_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error != 0) return -error;
  RESULT(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int32_t csystem_signalfd_read(int32_t fd) {
  struct signalfd_siginfo info;
  ssize_t count;
  do count = read(fd, &info, sizeof info);
  while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  return count == (ssize_t)sizeof info ? (int32_t)info.ssi_signo : -EAGAIN;
}

void csystem_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

void csystem_block_signals(void) {
  sigset_t set;
  sigfillset(&set);
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&set, faults[i]);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
}

void csystem_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

// On Linux a priority is a thread's own.
int32_t csystem_give_way(void) { RESULT(setpriority(PRIO_PROCESS, 0, 10)); }

int32_t csystem_raise_process(int32_t number) { RESULT(kill(getpid(), number)); }

const int32_t csystem_sigterm = SIGTERM, csystem_sigint = SIGINT, csystem_sighup = SIGHUP, csystem_sigusr1 = SIGUSR1,
              csystem_sigusr2 = SIGUSR2;

// --- clocks and randomness --------------------------------------------------------------------------------------

static uint64_t nanos(clockid_t clock) {
  struct timespec time = {0, 0};
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t csystem_monotonic_millis_coarse(void) { return nanos(CLOCK_MONOTONIC_COARSE) / 1000000u; }
uint64_t csystem_monotonic_nanos(void) { return nanos(CLOCK_MONOTONIC); }
int64_t csystem_wall_millis(void) { return (int64_t)(nanos(CLOCK_REALTIME_COARSE) / 1000000u); }

int32_t csystem_random(void *buffer, size_t count) {
  unsigned char *at = buffer;
  while (count > 0) {
    ssize_t got = getrandom(at, count, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    at += got;
    count -= (size_t)got;
  }
  return 0;
}

// --- sockets ----------------------------------------------------------------------------------------------------

static socklen_t to_system(const csystem_address *from, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (from->family == 4) {
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    in->sin_family = AF_INET;
    in->sin_port = htons(from->port);
    in->sin_addr.s_addr = htonl((uint32_t)from->low);
    return sizeof *in;
  }
  if (from->family == 6) {
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)to;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(from->port);
    in->sin6_scope_id = from->scope;
    for (int i = 0; i < 8; i++) {
      in->sin6_addr.s6_addr[i] = (uint8_t)(from->high >> (56 - 8 * i));
      in->sin6_addr.s6_addr[8 + i] = (uint8_t)(from->low >> (56 - 8 * i));
    }
    return sizeof *in;
  }
  struct sockaddr_un *un = (struct sockaddr_un *)to;
  un->sun_family = AF_UNIX;
  size_t length = from->path_length;
  if (length > sizeof un->sun_path - 1) length = sizeof un->sun_path - 1;
  memcpy(un->sun_path, from->path, length);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (length > 0 && from->path[0] != 0 ? 1 : 0));
}

static void from_system(const struct sockaddr_storage *from, socklen_t size, csystem_address *to) {
  memset(to, 0, sizeof *to);
  if (from->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    to->family = 4;
    to->port = ntohs(in->sin_port);
    to->low = ntohl(in->sin_addr.s_addr);
  } else if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
    to->family = 6;
    to->port = ntohs(in->sin6_port);
    to->scope = in->sin6_scope_id;
    for (int i = 0; i < 8; i++) {
      to->high = to->high << 8 | in->sin6_addr.s6_addr[i];
      to->low = to->low << 8 | in->sin6_addr.s6_addr[8 + i];
    }
  } else {
    const struct sockaddr_un *un = (const struct sockaddr_un *)from;
    to->family = 1;
    size_t length = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;
    if (length > sizeof to->path) length = sizeof to->path;
    memcpy(to->path, un->sun_path, length);
    // A path in the file system is NUL-terminated within the length the kernel reports.
    if (length > 0 && to->path[0] != 0) length = strnlen(to->path, length);
    to->path_length = (uint32_t)length;
  }
}

int32_t csystem_socket(int32_t family) {
  int domain = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNIX;
  RESULT(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int32_t csystem_bind(int32_t fd, const csystem_address *address) {
  struct sockaddr_storage storage;
  socklen_t size = to_system(address, &storage);
  RESULT(bind(fd, (struct sockaddr *)&storage, size));
}

int32_t csystem_listen(int32_t fd, int32_t backlog) { RESULT(listen(fd, backlog)); }

int32_t csystem_connect(int32_t fd, const csystem_address *address) {
  struct sockaddr_storage storage;
  socklen_t size = to_system(address, &storage);
  // An interrupted connect goes on in the background, exactly as one in progress.
  if (connect(fd, (struct sockaddr *)&storage, size) == 0) return 0;
  return errno == EINTR ? -EINPROGRESS : -errno;
}

int32_t csystem_accept(int32_t fd, csystem_address *peer) {
  struct sockaddr_storage storage;
  socklen_t size = sizeof storage;
  memset(&storage, 0, sizeof storage);
  int accepted;
  do accepted = accept4(fd, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  while (accepted < 0 && errno == EINTR);
  if (accepted < 0) return -errno;
  from_system(&storage, size, peer);
  return accepted;
}

int32_t csystem_local_address(int32_t fd, csystem_address *address) {
  struct sockaddr_storage storage;
  socklen_t size = sizeof storage;
  memset(&storage, 0, sizeof storage);
  if (getsockname(fd, (struct sockaddr *)&storage, &size) < 0) return -errno;
  from_system(&storage, size, address);
  return 0;
}

int32_t csystem_peer_address(int32_t fd, csystem_address *address) {
  struct sockaddr_storage storage;
  socklen_t size = sizeof storage;
  memset(&storage, 0, sizeof storage);
  if (getpeername(fd, (struct sockaddr *)&storage, &size) < 0) return -errno;
  from_system(&storage, size, address);
  return 0;
}

int32_t csystem_unsent_bytes(int32_t fd) {
  int count = 0;
  if (ioctl(fd, SIOCOUTQ, &count) < 0) return -errno;
  return count;
}

int32_t csystem_pending_error(int32_t fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
  return error;
}

int32_t csystem_is_listening(int32_t fd) {
  int on = 0;
  socklen_t size = sizeof on;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) < 0) return -errno;
  return on != 0;
}

int32_t csystem_set_nonblocking(int32_t fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  return 0;
}

static int32_t set_option(int32_t fd, int level, int name, int value) { RESULT(setsockopt(fd, level, name, &value, sizeof value)); }

int32_t csystem_set_reuse_address(int32_t fd, int32_t on) { return set_option(fd, SOL_SOCKET, SO_REUSEADDR, on); }
int32_t csystem_set_reuse_port(int32_t fd, int32_t on) { return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on); }
int32_t csystem_set_only_v6(int32_t fd, int32_t on) { return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, on); }
int32_t csystem_set_no_delay(int32_t fd, int32_t on) { return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on); }

int32_t csystem_set_keepalive(int32_t fd, int32_t idle_seconds, int32_t interval_seconds, int32_t probes) {
  int32_t result = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
  if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds);
  if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
  return result;
}

int32_t csystem_set_reset_on_close(int32_t fd) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

int32_t csystem_set_send_buffer(int32_t fd, int32_t bytes) { return set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes); }
int32_t csystem_set_receive_buffer(int32_t fd, int32_t bytes) { return set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes); }
int32_t csystem_shutdown_write(int32_t fd) { RESULT(shutdown(fd, SHUT_WR)); }

int32_t csystem_close(int32_t fd) {
  // Linux releases the descriptor even when close reports EINTR; calling again could close somebody else's.
  return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int32_t csystem_duplicate(int32_t fd) { RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

int32_t csystem_unlink(const char *path) { RESULT(unlink(path)); }

int32_t csystem_is_socket(const char *path) {
  struct stat info;
  if (lstat(path, &info) < 0) return -errno;
  return S_ISSOCK(info.st_mode) ? 1 : 0;
}

int32_t csystem_chmod(const char *path, uint32_t mode) { RESULT(chmod(path, mode)); }

int64_t csystem_receive(int32_t fd, void *buffer, size_t count) {
  ssize_t got;
  do got = recv(fd, buffer, count, 0);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

int64_t csystem_send(int32_t fd, const void *buffer, size_t count) {
  ssize_t sent;
  do sent = send(fd, buffer, count, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int32_t csystem_socket_pair(int32_t *first, int32_t *second) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
  *first = pair[0];
  *second = pair[1];
  return 0;
}

int32_t csystem_send_datagram(const char *path, size_t path_count, const void *bytes, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path_count == 0 || path_count > sizeof address.sun_path - 1) return -EINVAL;
  memcpy(address.sun_path, path, path_count);
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_count);
  ssize_t sent;
  do sent = sendto(fd, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  while (sent < 0 && errno == EINTR);
  int32_t result = sent < 0 ? -errno : 0;
  close(fd);
  return result;
}

int32_t csystem_process_id(void) { return getpid(); }

// --- names ------------------------------------------------------------------------------------------------------

int32_t csystem_resolve(const char *host, csystem_address *addresses, int32_t capacity) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  struct addrinfo *found = NULL;
  int error = getaddrinfo(host, NULL, &hints, &found);
  if (error != 0) {
    // EAI_* are negative on Linux; keep them apart from counts whatever the system says.
    return error < 0 ? error : -error;
  }
  int32_t count = 0;
  for (struct addrinfo *each = found; each != NULL && count < capacity; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    if (each->ai_addrlen > sizeof storage) continue;
    memcpy(&storage, each->ai_addr, each->ai_addrlen);
    from_system(&storage, each->ai_addrlen, &addresses[count]);
    count++;
  }
  freeaddrinfo(found);
  return count;
}

void csystem_resolve_error_text(int32_t error, char *buffer, size_t capacity) {
  snprintf(buffer, capacity, "%s", gai_strerror(error));
}

// --- descriptors ------------------------------------------------------------------------------------------------

int64_t csystem_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  if (limit.rlim_cur < limit.rlim_max) {
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int32_t csystem_set_descriptor_limit(int64_t value) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  limit.rlim_cur = value < 0 ? 0 : (rlim_t)value;
  RESULT(setrlimit(RLIMIT_NOFILE, &limit));
}

// --- memory -------------------------------------------------------------------------------------------------------

const void *csystem_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count) {
  return memmem(bytes, count, wanted, wanted_count);
}
