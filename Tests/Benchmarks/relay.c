// The floor: what the kernel alone costs a proxy. Each client's connection has one to the service, and what one of them says is
// given to the other: two reads and two writes a request, nothing is looked at. No proxy can cost less on these system calls.
//
//   relay PORT    relays to 127.0.0.1:PORT, and prints the port that it listens on
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRATCH = 16 * 1024, MOST_DESCRIPTORS = 65536 };
// The other end of each connection; 0 for none.
static int other[MOST_DESCRIPTORS];

static void part(int fd) {
  int peer = other[fd];
  other[fd] = 0;
  close(fd);
  if (peer == 0) return;
  other[peer] = 0;
  close(peer);
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, upstream = address;
  upstream.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
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
        int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (client < 0) continue;
        // Connecting blocks: it happens once a connection, and no request is measured then.
        int service = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(service, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (service < 0 || service >= MOST_DESCRIPTORS || client >= MOST_DESCRIPTORS
            || connect(service, (struct sockaddr *)&upstream, sizeof upstream)) return perror("connect"), 1;
        other[client] = service;
        other[service] = client;
        for (int side = 0; side < 2; side++) {
          struct epoll_event added = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = side ? service : client};
          epoll_ctl(epoll, EPOLL_CTL_ADD, added.data.fd, &added);
        }
        continue;
      }
      if (other[fd] == 0) continue;
      // What gave less than was asked for is empty: no second read finds that out.
      for (ssize_t count = SCRATCH; count == SCRATCH;) {
        count = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) break;
        // Requests and responses are small: a socket's buffer always has room for one.
        if (count <= 0 || send(other[fd], scratch, (size_t)count, MSG_NOSIGNAL) != count) {
          part(fd);
          break;
        }
      }
    }
  }
}
