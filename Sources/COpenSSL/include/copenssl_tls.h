// libssl: TLS over our own byte transport (module Net).
//
// A session reads and writes its socket through a BIO of ours: OpenSSL never sees the descriptor, each readable event
// costs one recv, and output the kernel does not take waits in the session, so that a write is never half done.
#ifndef COPENSSL_TLS_H
#define COPENSSL_TLS_H
#include <stddef.h>
#include <stdint.h>

typedef struct copenssl_tls_context copenssl_tls_context;
typedef struct copenssl_tls_session copenssl_tls_session;

// What kind of failure a session or context reports (TLSFailure.Kind).
enum {
  COPENSSL_TLS_EXPIRED = 1,
  COPENSSL_TLS_NOT_YET_VALID = 2,
  COPENSSL_TLS_WRONG_NAME = 3,
  COPENSSL_TLS_UNTRUSTED = 4,
  COPENSSL_TLS_BAD_CERTIFICATE = 5,
  COPENSSL_TLS_HANDSHAKE = 6,
  COPENSSL_TLS_SESSION = 7,
  COPENSSL_TLS_CONFIGURATION = 8,
  COPENSSL_TLS_PLAIN_HTTP = 9,   // the client speaks HTTP without TLS
  COPENSSL_TLS_NOTHING = 10,     // the client left without a byte
};

// Results of reading. Positive: bytes.
enum {
  COPENSSL_TLS_END = 0,         // close_notify
  COPENSSL_TLS_AGAIN = -1,      // nothing now
  COPENSSL_TLS_FAILED = -2,     // see copenssl_tls_failure
  COPENSSL_TLS_TRUNCATED = -3,  // the transport ended without close_notify
};

// --- contexts: configured once, then shared by threads (OpenSSL counts references and locks inside) --------------
// TLS 1.2 or later. A client verifies; a server needs a certificate. NULL when out of memory.
copenssl_tls_context *copenssl_tls_context_new(int32_t is_server);
void copenssl_tls_context_free(copenssl_tls_context *context);
// 1, or 0 with a sentence in `error` (NUL-terminated).
int32_t copenssl_tls_trust_system(copenssl_tls_context *context, char *error, size_t capacity);
int32_t copenssl_tls_trust_pem(copenssl_tls_context *context, const void *pem, size_t count, char *error, size_t capacity);
// A server's second and further certificates are shown to clients that ask for a name they are good for.
int32_t copenssl_tls_use_certificate(
    copenssl_tls_context *context, const void *chain, size_t chain_count, const void *key, size_t key_count, char *error, size_t capacity);
// Server: demand (2) or ask for (1) a client certificate, or neither (0).
void copenssl_tls_verify_clients(copenssl_tls_context *context, int32_t mode);
// Refuses certificates on these lists (PEM), and those whose issuer has no current list. As copenssl_tls_trust_pem.
int32_t copenssl_tls_revoke_pem(copenssl_tls_context *context, const void *pem, size_t count, char *error, size_t capacity);
// OpenSSL's cipher list (TLS 1.2) and suites (TLS 1.3); NULL leaves what is set. As copenssl_tls_trust_pem.
int32_t copenssl_tls_ciphers(copenssl_tls_context *context, const char *list, const char *suites, char *error, size_t capacity);
// Lowest version: 12 or 13. 1 if taken.
int32_t copenssl_tls_minimum_version(copenssl_tls_context *context, int32_t version);

// --- sessions: one thread -----------------------------------------------------------------------------------------
// `host` (a client's): the name to ask for and to verify; an address literal if `host_is_ip`. `now` is seconds since
// 1970, against which certificates are checked. NULL when out of memory.
copenssl_tls_session *copenssl_tls_session_new(
    copenssl_tls_context *context, int32_t fd, const char *host, int32_t host_is_ip, int64_t now);
void copenssl_tls_session_free(copenssl_tls_session *session);
// The socket may have more to read: call on each readable event. `is_ending`: the peer's end is announced, so a short
// read does not mean that no event is missed.
void copenssl_tls_mark_readable(copenssl_tls_session *session, int32_t is_ending);
// 1 done, 0 not yet, COPENSSL_TLS_FAILED.
int32_t copenssl_tls_handshake(copenssl_tls_session *session);
// Fills the buffer as far as it can. *drained: nothing is left, in the session or the socket, until the next event.
int64_t copenssl_tls_read(copenssl_tls_session *session, void *buffer, size_t count, int32_t *drained);
// Bytes taken: all, or fewer while earlier output waits (0 when it does), or COPENSSL_TLS_FAILED.
int64_t copenssl_tls_write(copenssl_tls_session *session, const void *buffer, size_t count);
// Sends output that waits. 1 none is left, 0 some is, COPENSSL_TLS_FAILED.
int32_t copenssl_tls_flush(copenssl_tls_session *session);
// Bytes of output that wait.
size_t copenssl_tls_waiting(const copenssl_tls_session *session);
// Queues close_notify.
void copenssl_tls_close_notify(copenssl_tls_session *session);
// The failure's kind (0: none); its sentence, NUL-terminated, valid as long as the session; the errno under it, or 0.
int32_t copenssl_tls_failure(const copenssl_tls_session *session, const char **text, int32_t *system_error);
// Bytes that were read before the session began: they come before those of the socket. 1, or 0 without memory.
int32_t copenssl_tls_feed(copenssl_tls_session *session, const void *bytes, size_t count);
// Facts after the handshake: "TLSv1.3"; the ALPN protocol, not NUL-terminated, 0 bytes if none.
const char *copenssl_tls_version(const copenssl_tls_session *session);
size_t copenssl_tls_alpn(const copenssl_tls_session *session, const uint8_t **protocol);
// Whether an earlier session was resumed.
int32_t copenssl_tls_was_resumed(const copenssl_tls_session *session);

// --- the peer's certificate -------------------------------------------------------------------------------------
typedef struct copenssl_certificate copenssl_certificate;
// The first certificate of a PEM text; NULL: none. To be freed.
copenssl_certificate *copenssl_certificate_read(const void *pem, size_t count);
// Seconds since 1970 of its first and its last moment; 0 if that cannot be said.
int32_t copenssl_certificate_times(const copenssl_certificate *certificate, int64_t *first, int64_t *last);
// NULL: none. To be freed.
copenssl_certificate *copenssl_tls_peer_certificate(const copenssl_tls_session *session);
void copenssl_certificate_free(copenssl_certificate *certificate);
// Each returns a size, and copies if the capacity is enough; 0: none.
size_t copenssl_certificate_der(const copenssl_certificate *certificate, void *out, size_t capacity);
// RFC 2253 text in UTF-8.
size_t copenssl_certificate_subject(const copenssl_certificate *certificate, void *out, size_t capacity);
size_t copenssl_certificate_issuer(const copenssl_certificate *certificate, void *out, size_t capacity);
// Big-endian, without leading zeros.
size_t copenssl_certificate_serial(const copenssl_certificate *certificate, void *out, size_t capacity);
// SHA-256 of the DER form: 32 bytes.
size_t copenssl_certificate_thumbprint(const copenssl_certificate *certificate, void *out, size_t capacity);
// Alternative name number `index`. kind: 1 DNS, 2 IP (4 or 16 bytes), 3 URI, 4 email; 0 another, without bytes; -1 no more.
size_t copenssl_certificate_name(
    const copenssl_certificate *certificate, int32_t index, int32_t *kind, void *out, size_t capacity);
#endif
