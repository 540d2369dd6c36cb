// Sends GET requests at a steady pace, whatever becomes of those before, and says how long their answers took.
//
//   paced PORT PATH TOKEN CONNECTIONS PER_SECOND SECONDS
//
// A request whose connection is still busy waits for it, and its time counts from when it should have been sent: a server that
// stalls is not spared the requests that it kept from being sent. Prints `requests p50 p99 p99.9 longest`, in microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
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

enum { MOST_CONNECTIONS = 4096, RESPONSE = 16 * 1024 };

struct connection {
  int fd;
  uint64_t due;
  size_t held;
  char response[RESPONSE];
};

static struct connection *connections;
static int *idle, idle_count;
static char request[64 * 1024];
static int request_length;
static uint64_t *micros, *late;
static size_t count, most, late_first, late_count;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void ask(int index, uint64_t due) {
  connections[index].due = due;
  connections[index].held = 0;
  if (send(connections[index].fd, request, (size_t)request_length, MSG_NOSIGNAL) != request_length) perror("send"), exit(1);
}

static int is_whole(struct connection *connection) {
  connection->response[connection->held] = 0;
  char *end = strstr(connection->response, "\r\n\r\n");
  if (end == NULL) return 0;
  char *field = strcasestr(connection->response, "\r\ncontent-length:");
  size_t body = field != NULL && field < end ? strtoul(field + 17, NULL, 10) : 0;
  return connection->held >= (size_t)(end + 4 - connection->response) + body;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "usage: paced PORT PATH TOKEN CONNECTIONS PER_SECOND SECONDS\n"), 1;
  int number = atoi(argv[4]);
  double rate = atof(argv[5]), seconds = atof(argv[6]);
  if (number < 1 || number > MOST_CONNECTIONS || rate <= 0) return fprintf(stderr, "out of range\n"), 1;
  request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", argv[2], argv[3]);
  most = (size_t)(rate * seconds) + 1;
  micros = calloc(most, sizeof *micros);
  late = calloc(most, sizeof *late);
  connections = calloc((size_t)number, sizeof *connections);
  idle = calloc((size_t)number, sizeof *idle);
  int epoll = epoll_create1(0), one = 1, timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < number; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
    connections[i].fd = fd;
    idle[idle_count++] = i;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
  uint64_t began = now() + 1000000, pace = (uint64_t)(1e9 / rate);
  size_t sent = 0;
  while (count < most) {
    uint64_t next = began + sent * pace;
    struct itimerspec spec = {0};
    if (sent < most) {
      spec.it_value.tv_sec = (time_t)(next / 1000000000u);
      spec.it_value.tv_nsec = (long)(next % 1000000000u);
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
    int ready = epoll_wait(epoll, events, 256, 20000);
    if (ready == 0) return fprintf(stderr, "no answer for 20 s\n"), 1;
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 == UINT32_MAX) {
        uint64_t fired;
        if (read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN) return perror("timer"), 1;
        continue;
      }
      int index = (int)events[i].data.u32;
      struct connection *connection = &connections[index];
      ssize_t got = recv(connection->fd, connection->response + connection->held, RESPONSE - 1 - connection->held, MSG_DONTWAIT);
      if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        return fprintf(stderr, "the server has closed a connection\n"), 1;
      }
      connection->held += (size_t)got;
      if (!is_whole(connection)) continue;
      if (memcmp(connection->response, "HTTP/1.1 200", 12) != 0) return fprintf(stderr, "%.200s\n", connection->response), 1;
      micros[count++] = (now() - connection->due) / 1000;
      if (late_count > 0) {
        late_count--;
        ask(index, late[late_first++]);
      } else {
        idle[idle_count++] = index;
      }
    }
    for (uint64_t time = now(); sent < most && began + sent * pace <= time; sent++) {
      if (idle_count > 0) ask(idle[--idle_count], began + sent * pace); else late[late_first + late_count++] = began + sent * pace;
    }
  }
  qsort(micros, count, sizeof *micros, ascending);
  printf("%zu %llu %llu %llu %llu\n", count, (unsigned long long)micros[count / 2], (unsigned long long)micros[count * 99 / 100],
    (unsigned long long)micros[count * 999 / 1000], (unsigned long long)micros[count - 1]);
}
