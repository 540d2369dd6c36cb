// The service behind the proxies of the benchmark: one epoll loop that answers every request head with the same
// kilobyte. It must cost next to nothing, so it looks for the head's end and for nothing else.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY = 1024, SCRATCH = 64 * 1024, MOST_DESCRIPTORS = 65536 };
static char response[BODY + 512];
static size_t response_length;
// How much of "\r\n\r\n" each connection has seen.
static uint8_t matched[MOST_DESCRIPTORS];

static int count_heads(int fd, const char *bytes, ssize_t count) {
  int heads = 0;
  uint8_t state = matched[fd];
  for (ssize_t i = 0; i < count; i++) {
    char wanted = state & 1 ? '\n' : '\r';
    state = bytes[i] == wanted ? state + 1 : bytes[i] == '\r' ? 1 : 0;
    if (state == 4) heads++, state = 0;
  }
  matched[fd] = state;
  return heads;
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  response_length = (size_t)snprintf(response, sizeof response,
    "HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Cache-Control: no-store\r\nX-Request-Cost: 0\r\nContent-Length: %d\r\n\r\n", BODY);
  memset(response + response_length, 'x', BODY);
  response_length += BODY;

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return perror("listen"), 1;
  socklen_t length = sizeof address;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);

  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  static char scratch[SCRATCH];
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int peer;
        while ((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          if (peer >= MOST_DESCRIPTORS) { close(peer); continue; }
          matched[peer] = 0;
          struct epoll_event added = {.events = EPOLLIN, .data.fd = peer};
          epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &added);
        }
        continue;
      }
      ssize_t count = recv(fd, scratch, sizeof scratch, 0);
      if (count <= 0) {
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        close(fd);
        continue;
      }
      // Heads have no bodies here, and a kilobyte always fits the socket's buffer.
      for (int heads = count_heads(fd, scratch, count); heads > 0; heads--) send(fd, response, response_length, MSG_NOSIGNAL);
    }
  }
}
