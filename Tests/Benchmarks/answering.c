// Verified Permissions as the benchmark of the engine needs it: TLS, one epoll loop, and every request is allowed after a time.
//
//   answering PORT CERTIFICATE KEY MICROSECONDS SLOTS
//
// An answer takes so many microseconds, and so many are worked on at the same time; 0 slots: all that have come. The rest wait
// their turn, as they would before a service with as many hands.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 65536, SCRATCH = 64 * 1024, HEAD = 4096, MOST_SLOTS = 4096 };

struct connection {
  SSL *ssl;
  uint32_t life;
  size_t held;
  uint64_t body_left;
  char head[HEAD];
};
struct due { uint64_t at; int fd; uint32_t life; };

static struct connection *connections[MOST_DESCRIPTORS];
static uint32_t lives[MOST_DESCRIPTORS];
static struct due queue[MOST_DESCRIPTORS];
static size_t queue_first, queue_count;
static uint64_t slot_free[MOST_SLOTS];
static size_t slots, next_slot;
static uint64_t delay_nanos, answered;
static int timer;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void arm(void) {
  struct itimerspec spec = {0};
  if (queue_count > 0) {
    uint64_t at = queue[queue_first].at;
    spec.it_value.tv_sec = (time_t)(at / 1000000000u);
    spec.it_value.tv_nsec = (long)(at % 1000000000u);
  }
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void end(int fd) {
  SSL_free(connections[fd]->ssl);
  free(connections[fd]);
  connections[fd] = NULL;
  lives[fd]++;
  close(fd);
}

static void answer(int fd) {
  static const char body[] = "{\"decision\":\"ALLOW\",\"determiningPolicies\":[{\"policyId\":\"p\"}],\"errors\":[]}";
  char out[512];
  int length = snprintf(out, sizeof out,
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: %032llx\r\nContent-Length: %zu\r\n\r\n%s",
    (unsigned long long)++answered, sizeof body - 1, body);
  SSL_write(connections[fd]->ssl, out, length);
}

// A whole request has come.
static void asked(int fd) {
  if (delay_nanos == 0) return answer(fd);
  uint64_t begins = now();
  if (slots > 0) {
    if (slot_free[next_slot] > begins) begins = slot_free[next_slot];
    slot_free[next_slot] = begins + delay_nanos;
    next_slot = (next_slot + 1) % slots;
  }
  if (queue_count == MOST_DESCRIPTORS) return end(fd);
  queue[(queue_first + queue_count++) % MOST_DESCRIPTORS] = (struct due){begins + delay_nanos, fd, lives[fd]};
  if (queue_count == 1) arm();
}

// Reads on in a connection's bytes; one request at a time is all that a client sends.
static int receive(int fd, const char *bytes, size_t count) {
  struct connection *connection = connections[fd];
  while (count > 0) {
    if (connection->body_left > 0) {
      size_t taken = count < connection->body_left ? count : (size_t)connection->body_left;
      connection->body_left -= taken;
      bytes += taken, count -= taken;
      if (connection->body_left == 0) asked(fd);
      continue;
    }
    if (connection->held == HEAD - 1) return 0;
    connection->head[connection->held++] = *bytes++;
    count--;
    if (connection->held < 4 || memcmp(connection->head + connection->held - 4, "\r\n\r\n", 4) != 0) continue;
    connection->head[connection->held] = 0;
    connection->held = 0;
    const char *field = strcasestr(connection->head, "\r\ncontent-length:");
    connection->body_left = field ? strtoull(field + 17, NULL, 10) : 0;
    if (connection->body_left == 0) asked(fd);
  }
  return 1;
}

static void readable(int fd) {
  static char scratch[SCRATCH];
  for (;;) {
    int count = SSL_read(connections[fd]->ssl, scratch, sizeof scratch);
    if (count <= 0) {
      if (SSL_get_error(connections[fd]->ssl, count) != SSL_ERROR_WANT_READ) end(fd);
      return;
    }
    if (!receive(fd, scratch, (size_t)count)) return end(fd);
    if (connections[fd] == NULL) return;
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: answering PORT CERTIFICATE KEY MICROSECONDS SLOTS\n"), 1;
  signal(SIGPIPE, SIG_IGN);
  delay_nanos = strtoull(argv[4], NULL, 10) * 1000;
  slots = strtoull(argv[5], NULL, 10);
  if (slots > MOST_SLOTS) return fprintf(stderr, "at most %d slots\n", MOST_SLOTS), 1;
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 || SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
    return fprintf(stderr, "the certificate cannot be used\n"), 1;
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("listen"), 1;
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = timer;
  epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int peer;
        while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          if (peer >= MOST_DESCRIPTORS) { close(peer); continue; }
          connections[peer] = calloc(1, sizeof(struct connection));
          connections[peer]->ssl = SSL_new(context);
          SSL_set_fd(connections[peer]->ssl, peer);
          SSL_set_accept_state(connections[peer]->ssl);
          struct epoll_event added = {.events = EPOLLIN, .data.fd = peer};
          epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &added);
        }
      } else if (fd == timer) {
        uint64_t fired;
        if (read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN) return perror("timer"), 1;
        uint64_t time = now();
        while (queue_count > 0 && queue[queue_first].at <= time) {
          struct due due = queue[queue_first];
          queue_first = (queue_first + 1) % MOST_DESCRIPTORS;
          queue_count--;
          if (connections[due.fd] != NULL && lives[due.fd] == due.life) answer(due.fd);
        }
        arm();
      } else if (connections[fd] != NULL) {
        readable(fd);
      }
    }
  }
}
