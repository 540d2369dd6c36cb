// One question to one name server, by the C library's resolver: retransmission, TCP for long answers.
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "csystem.h"

enum { NO_ADDRESSES = -1, NO_NAME = -2, NO_ANSWER = -3 };

int32_t csystem_dns_query(const csystem_address *server, const char *host, uint16_t type, void *answer, int32_t capacity) {
  if (server != NULL && server->family != 4) return NO_ANSWER;
  struct __res_state state;
  memset(&state, 0, sizeof state);
  if (res_ninit(&state) != 0) return NO_ANSWER;
  int size;
  if (server == NULL) {
    // Asked after getaddrinfo has answered: the same servers and search list, and no patience with who does not answer.
    if (state.nscount > 1) state.nscount = 1;
    state.retrans = 1;
    state.retry = 1;
    size = res_nsearch(&state, host, ns_c_in, type, answer, capacity);
  } else {
    state.nscount = 1;
    memset(&state.nsaddr_list[0], 0, sizeof state.nsaddr_list[0]);
    state.nsaddr_list[0].sin_family = AF_INET;
    state.nsaddr_list[0].sin_port = htons(server->port);
    state.nsaddr_list[0].sin_addr.s_addr = htonl((uint32_t)server->low);
    // The name is taken as it is: no search list, no aliases file.
    state.options = (state.options | RES_RECURSE) & ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
    state.retrans = 2;
    state.retry = 2;
    size = res_nquery(&state, host, ns_c_in, type, answer, capacity);
  }
  int reason = state.res_h_errno;
  res_nclose(&state);
  // The size is the message's, which may be more than was kept.
  if (size >= 0) return size > capacity ? capacity : size;
  if (reason == HOST_NOT_FOUND) return NO_NAME;
  return reason == NO_DATA ? NO_ADDRESSES : NO_ANSWER;
}

int32_t csystem_hosts_file_names(const char *host) {
  FILE *file = fopen("/etc/hosts", "re");
  if (file == NULL) return 0;
  char *line = NULL;
  size_t capacity = 0;
  int32_t found = 0;
  while (!found && getline(&line, &capacity, file) >= 0) {
    char *comment = strchr(line, '#');
    if (comment != NULL) *comment = 0;
    char *rest = line;
    // The first word is the address.
    char *word = strtok_r(line, " \t\r\n", &rest);
    while (!found && (word = strtok_r(NULL, " \t\r\n", &rest)) != NULL) found = strcasecmp(word, host) == 0;
  }
  free(line);
  fclose(file);
  return found;
}
