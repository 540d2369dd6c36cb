// System calls the Glibc module does not export: epoll, eventfd, signalfd, accept4.
#ifndef CSYSTEM_H
#define CSYSTEM_H
#include <stddef.h>
#include <stdint.h>
#endif
