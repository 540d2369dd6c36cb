// What the files about TLS share; OpenSSL's headers stop here.
#ifndef COPENSSL_TLS_INTERNAL_H
#define COPENSSL_TLS_INTERNAL_H
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copenssl.h"

struct copenssl_tls_context {
  SSL_CTX *ssl;
  int is_server;
  // A server's certificates beyond the first, chosen by the name a client asks for.
  struct copenssl_tls_identity {
    SSL_CTX *ssl;
    X509 *leaf;
  } *identities;
  size_t identity_count;
  X509 *leaf;
  // Session tickets are sealed with the first key; those of the second are still opened.
  pthread_mutex_t ticket_lock;
  struct copenssl_tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    int64_t made_at;  // monotonic seconds; 0: none
  } ticket_keys[2];
};

struct copenssl_tls_session {
  SSL *ssl;
  copenssl_tls_context *context;
  int fd;
  int drained;         // the socket gave less than asked: no recv before the next readable event
  int is_ending;       // the end is announced: it is found by reading on
  int ended;           // the transport ended
  int io_error;        // errno of recv or send
  int failure;         // COPENSSL_TLS_*; once set, the session is dead
  int certificate_failure;
  int64_t now;
  int has_heard;       // some byte came
  unsigned char *in;   // what was read before the session began
  size_t in_start, in_end;
  char host[256];
  unsigned char *out;  // ciphertext that the kernel did not take
  size_t out_start, out_end, out_capacity;
  char text[512];
};

// The BIO method of our transport; NULL when out of memory.
BIO_METHOD *copenssl_tls_transport(void);
// The verification callback: notes the first fault in the session, in words.
int copenssl_tls_verify(int ok, X509_STORE_CTX *store);
// Drains this thread's error queue into a sentence; an entry left in it would be read as the next session's failure.
void copenssl_tls_drain_errors(char *text, size_t capacity);
#endif
