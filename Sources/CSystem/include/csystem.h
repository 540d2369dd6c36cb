// System calls the Glibc module does not export, or exports awkwardly: epoll, eventfd, signalfd, accept4, sockets.
// Opaque on purpose: no system header reaches the Swift importer from here. Calls that can fail return a negative
// errno, never -1, so that no caller depends on the thread's errno surviving until it looks.
#ifndef CSYSTEM_H
#define CSYSTEM_H
#include <stddef.h>
#include <stdint.h>

// --- errno values and texts -------------------------------------------------------------------------------------
extern const int32_t csystem_eagain, csystem_eintr, csystem_einprogress, csystem_emfile, csystem_enfile, csystem_enobufs, csystem_enomem,
    csystem_eaddrinuse, csystem_eaddrnotavail, csystem_eafnosupport, csystem_econnrefused, csystem_econnreset, csystem_epipe,
    csystem_etimedout, csystem_enoent, csystem_ebadf, csystem_eacces, csystem_econnaborted, csystem_einval, csystem_enotconn;
// The system's sentence for an errno, NUL-terminated, into a buffer of at least 128 bytes.
void csystem_error_text(int32_t error, char *buffer, size_t capacity);

// --- epoll ------------------------------------------------------------------------------------------------------
// Event bits are the kernel's: IN 0x1, OUT 0x4, ERR 0x8, HUP 0x10, RDHUP 0x2000, ET 1<<31 (held by assertions in the .c file).
typedef struct {
  uint64_t data;
  uint32_t events;
} csystem_event;
int32_t csystem_epoll_create(void);
int32_t csystem_epoll_add(int32_t epoll, int32_t fd, uint32_t events, uint64_t data);
int32_t csystem_epoll_modify(int32_t epoll, int32_t fd, uint32_t events, uint64_t data);
int32_t csystem_epoll_remove(int32_t epoll, int32_t fd);
// At most 256 events at a time, whatever the capacity. An interrupted wait is 0 events.
int32_t csystem_epoll_wait(int32_t epoll, csystem_event *events, int32_t capacity, int32_t timeout_millis);

// --- waking and signals -----------------------------------------------------------------------------------------
int32_t csystem_eventfd(void);
void csystem_eventfd_signal(int32_t fd);
void csystem_eventfd_clear(int32_t fd);
// Blocks the signals in the calling thread and gives a descriptor that reports them.
int32_t csystem_signalfd(const int32_t *signals, int32_t count);
// The next pending signal's number, or a negative errno (-EAGAIN: none).
int32_t csystem_signalfd_read(int32_t fd);
void csystem_ignore_sigpipe(void);
// Blocks every signal that is not a fault of the running code, in the calling thread.
void csystem_block_signals(void);
// Names the calling thread; at most 15 bytes.
void csystem_name_thread(const char *name);
// Lets the calling thread, and it alone, give way to the others.
int32_t csystem_give_way(void);
// Sends a signal to this process.
int32_t csystem_raise_process(int32_t signal);
extern const int32_t csystem_sigterm, csystem_sigint, csystem_sighup, csystem_sigusr1, csystem_sigusr2;

// --- clocks and randomness --------------------------------------------------------------------------------------
uint64_t csystem_monotonic_millis_coarse(void);
uint64_t csystem_monotonic_nanos(void);
int64_t csystem_wall_millis(void);
int32_t csystem_random(void *buffer, size_t count);

// --- sockets ----------------------------------------------------------------------------------------------------
// family: 4, 6 or 1 (unix). IPv4 in the low 32 bits of `low`; IPv6 as two big-endian halves. A unix path may begin
// with NUL (abstract); a zero length is an unnamed socket.
typedef struct {
  int32_t family;
  uint16_t port;
  uint32_t scope;
  uint64_t high, low;
  uint32_t path_length;
  char path[108];
} csystem_address;

// A non-blocking, close-on-exec stream socket.
int32_t csystem_socket(int32_t family);
int32_t csystem_bind(int32_t fd, const csystem_address *address);
int32_t csystem_listen(int32_t fd, int32_t backlog);
// 0 connected, -EINPROGRESS on its way, else a negative errno.
int32_t csystem_connect(int32_t fd, const csystem_address *address);
int32_t csystem_accept(int32_t fd, csystem_address *peer);
int32_t csystem_local_address(int32_t fd, csystem_address *address);
int32_t csystem_peer_address(int32_t fd, csystem_address *address);
// SO_ERROR, as a positive errno or 0.
// Bytes that were taken for sending and not acknowledged yet.
int32_t csystem_unsent_bytes(int32_t fd);
int32_t csystem_pending_error(int32_t fd);
int32_t csystem_is_listening(int32_t fd);
int32_t csystem_set_nonblocking(int32_t fd);
int32_t csystem_set_reuse_address(int32_t fd, int32_t on);
int32_t csystem_set_reuse_port(int32_t fd, int32_t on);
int32_t csystem_set_only_v6(int32_t fd, int32_t on);
int32_t csystem_set_no_delay(int32_t fd, int32_t on);
int32_t csystem_set_keepalive(int32_t fd, int32_t idle_seconds, int32_t interval_seconds, int32_t probes);
// Makes close() reset the connection.
int32_t csystem_set_reset_on_close(int32_t fd);
int32_t csystem_set_send_buffer(int32_t fd, int32_t bytes);
int32_t csystem_set_receive_buffer(int32_t fd, int32_t bytes);
int32_t csystem_shutdown_write(int32_t fd);
int32_t csystem_close(int32_t fd);
// The same socket under another descriptor, close-on-exec: the descriptor, or a negative errno.
int32_t csystem_duplicate(int32_t fd);
int32_t csystem_unlink(const char *path);
// Whether the path is a socket: 1, 0, or a negative errno.
int32_t csystem_is_socket(const char *path);
int32_t csystem_chmod(const char *path, uint32_t mode);
// Bytes, or a negative errno. Sending never raises SIGPIPE.
int64_t csystem_receive(int32_t fd, void *buffer, size_t count);
int64_t csystem_send(int32_t fd, const void *buffer, size_t count);
int32_t csystem_socket_pair(int32_t *first, int32_t *second);

// Sends one datagram to a unix socket (an abstract one begins with '@' or NUL): what sd_notify(3) does.
int32_t csystem_send_datagram(const char *path, size_t path_count, const void *bytes, size_t count);
int32_t csystem_process_id(void);

// --- names ------------------------------------------------------------------------------------------------------
// Blocks. Addresses found (stream sockets), or a negative number for csystem_resolve_error_text.
int32_t csystem_resolve(const char *host, csystem_address *addresses, int32_t capacity);
void csystem_resolve_error_text(int32_t error, char *buffer, size_t capacity);

// Blocks. Asks one name server (IPv4) for records of a type (1 A, 28 AAAA) of a host: the size of the answer, a DNS message.
// Negative: -1 there are none; -2 the name does not exist; -3 no answer.
// Without a server: the first of resolv.conf, with its search list, for a second a name.
int32_t csystem_dns_query(const csystem_address *server, const char *host, uint16_t type, void *answer, int32_t capacity);
// 1 if the hosts file has a name, else 0.
int32_t csystem_hosts_file_names(const char *host);

// --- memory ------------------------------------------------------------------------------------------------------
// Where a run of bytes first occurs in others, or NULL.
const void *csystem_find(const void *bytes, size_t count, const void *wanted, size_t wanted_count);

// --- descriptors ------------------------------------------------------------------------------------------------
// The soft limit of open descriptors after raising it to the hard one where allowed.
int64_t csystem_raise_descriptor_limit(void);
// Sets the soft limit of open descriptors.
int32_t csystem_set_descriptor_limit(int64_t limit);
#endif
