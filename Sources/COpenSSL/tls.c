// Sessions: the transport, and words for failures.
#include <errno.h>
#include <sys/socket.h>

#include "tls_internal.h"

// A peer that makes us answer (key updates, alerts) and never reads must not grow us.
static const size_t longest_output = 256 * 1024;

// --- the transport ------------------------------------------------------------------------------------------------

static int keep_output(copenssl_tls_session *session, const unsigned char *bytes, size_t count) {
  size_t held = session->out_end - session->out_start;
  if (count > longest_output - held) return 0;
  if (session->out_capacity - session->out_end < count) {
    if (session->out_start > 0) {
      memmove(session->out, session->out + session->out_start, held);
      session->out_start = 0;
      session->out_end = held;
    }
    if (session->out_capacity - held < count) {
      unsigned char *larger = realloc(session->out, held + count);
      if (larger == NULL) return 0;
      session->out = larger;
      session->out_capacity = held + count;
    }
  }
  memcpy(session->out + session->out_end, bytes, count);
  session->out_end += count;
  return 1;
}

static int transport_write(BIO *bio, const char *bytes, int count) {
  copenssl_tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (count <= 0) return 0;
  ssize_t sent = 0;
  if (session->out_start == session->out_end) {
    do sent = send(session->fd, bytes, (size_t)count, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        session->io_error = errno;
        return -1;
      }
      sent = 0;
    }
  }
  if (sent < count && !keep_output(session, (const unsigned char *)bytes + sent, (size_t)(count - sent))) {
    session->io_error = ENOBUFS;
    return -1;
  }
  return count;
}

static int transport_read(BIO *bio, char *buffer, int count) {
  copenssl_tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (count <= 0 || session->ended) return 0;
  if (session->in_start < session->in_end) {
    size_t left = session->in_end - session->in_start;
    size_t taken = left < (size_t)count ? left : (size_t)count;
    memcpy(buffer, session->in + session->in_start, taken);
    session->in_start += taken;
    session->has_heard = 1;
    return (int)taken;
  }
  if (session->drained) {
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t got;
  do got = recv(session->fd, buffer, (size_t)count, 0);
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    session->has_heard = 1;
    // A short read has emptied the socket: the next event will say when there is more.
    if (got < count && !session->is_ending) session->drained = 1;
    return (int)got;
  }
  if (got == 0) {
    session->ended = 1;
    return 0;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    session->drained = 1;
    BIO_set_retry_read(bio);
  } else {
    session->io_error = errno;
  }
  return -1;
}

static long transport_control(BIO *bio, int command, long number, void *pointer) {
  (void)number;
  (void)pointer;
  copenssl_tls_session *session = BIO_get_data(bio);
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return session != NULL && session->ended;
    default: return 0;
  }
}

static BIO_METHOD *transport;
static pthread_once_t transport_once = PTHREAD_ONCE_INIT;

static void make_transport(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
  if (method == NULL) return;
  if (BIO_meth_set_write(method, transport_write) != 1 || BIO_meth_set_read(method, transport_read) != 1
      || BIO_meth_set_ctrl(method, transport_control) != 1) {
    BIO_meth_free(method);
    return;
  }
  transport = method;
}

BIO_METHOD *copenssl_tls_transport(void) {
  pthread_once(&transport_once, make_transport);
  return transport;
}

// --- words for failures -------------------------------------------------------------------------------------------

// Certificates come from strangers: what is not printable ASCII is shown as a question mark.
static void append(char *text, size_t capacity, const char *bytes, size_t count) {
  size_t used = strlen(text);
  for (size_t i = 0; i < count && used + 1 < capacity; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    text[used++] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
  }
  text[used] = 0;
}

static void append_text(char *text, size_t capacity, const char *more) { append(text, capacity, more, strlen(more)); }

static void append_duration(char *text, size_t capacity, int days, int seconds) {
  char buffer[64];
  if (days < 0) days = -days;
  if (seconds < 0) seconds = -seconds;
  if (days > 0) {
    snprintf(buffer, sizeof buffer, "%d day%s", days, days == 1 ? "" : "s");
  } else if (seconds >= 3600) {
    snprintf(buffer, sizeof buffer, "%d hour%s", seconds / 3600, seconds / 3600 == 1 ? "" : "s");
  } else if (seconds >= 60) {
    snprintf(buffer, sizeof buffer, "%d minute%s", seconds / 60, seconds / 60 == 1 ? "" : "s");
  } else {
    snprintf(buffer, sizeof buffer, "%d second%s", seconds, seconds == 1 ? "" : "s");
  }
  append_text(text, capacity, buffer);
}

static void append_name(char *text, size_t capacity, const X509_NAME *name) {
  char line[256];
  if (name != NULL && X509_NAME_oneline(name, line, sizeof line) != NULL) {
    append_text(text, capacity, line);
  }
}

static void append_alternative_names(char *text, size_t capacity, X509 *certificate) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  int shown = 0, count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
  for (int i = 0; i < count && shown < 8; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      append_text(text, capacity, shown == 0 ? "" : ", ");
      append(
          text, capacity, (const char *)ASN1_STRING_get0_data(name->d.dNSName), (size_t)ASN1_STRING_length(name->d.dNSName));
      shown++;
    } else if (name->type == GEN_IPADD) {
      const unsigned char *bytes = ASN1_STRING_get0_data(name->d.iPAddress);
      int length = ASN1_STRING_length(name->d.iPAddress);
      char buffer[64] = "an IPv6 address";
      if (length == 4) snprintf(buffer, sizeof buffer, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
      if (length == 16) {
        size_t used = 0;
        for (int part = 0; part < 8 && used < sizeof buffer; part++) {
          used += (size_t)snprintf(
              buffer + used, sizeof buffer - used, "%s%x", part == 0 ? "" : ":", bytes[2 * part] << 8 | bytes[2 * part + 1]);
        }
      }
      append_text(text, capacity, shown == 0 ? "" : ", ");
      append_text(text, capacity, buffer);
      shown++;
    }
  }
  if (count > shown && shown == 8) append_text(text, capacity, ", ...");
  if (shown == 0) append_text(text, capacity, "no names");
  GENERAL_NAMES_free(names);
}

static void describe_certificate_failure(copenssl_tls_session *session, X509_STORE_CTX *store) {
  int error = X509_STORE_CTX_get_error(store);
  int depth = X509_STORE_CTX_get_error_depth(store);
  X509 *certificate = X509_STORE_CTX_get_current_cert(store);
  char *text = session->text;
  size_t capacity = sizeof session->text;
  const char *which = depth == 0 ? "certificate" : "a certificate of the chain";
  int days = 0, seconds = 0;
  text[0] = 0;
  ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)session->now);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      session->certificate_failure = COPENSSL_TLS_EXPIRED;
      append_text(text, capacity, which);
      if (certificate != NULL && now != NULL && ASN1_TIME_diff(&days, &seconds, X509_get0_notAfter(certificate), now) == 1) {
        append_text(text, capacity, " expired ");
        append_duration(text, capacity, days, seconds);
        append_text(text, capacity, " ago");
      } else {
        append_text(text, capacity, " has expired");
      }
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      session->certificate_failure = COPENSSL_TLS_NOT_YET_VALID;
      append_text(text, capacity, which);
      append_text(text, capacity, " is not valid yet");
      if (certificate != NULL && now != NULL && ASN1_TIME_diff(&days, &seconds, now, X509_get0_notBefore(certificate)) == 1) {
        append_text(text, capacity, ", but in ");
        append_duration(text, capacity, days, seconds);
      }
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      session->certificate_failure = COPENSSL_TLS_WRONG_NAME;
      append_text(text, capacity, "name ");
      append_text(text, capacity, session->host);
      append_text(text, capacity, " not in certificate (has ");
      if (certificate == NULL) certificate = X509_STORE_CTX_get0_cert(store);
      if (certificate != NULL) append_alternative_names(text, capacity, certificate);
      append_text(text, capacity, ")");
      break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      session->certificate_failure = COPENSSL_TLS_UNTRUSTED;
      append_text(text, capacity, "certificate is self-signed and not trusted");
      break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      session->certificate_failure = COPENSSL_TLS_UNTRUSTED;
      append_text(text, capacity, "certificate issued by an authority that is not trusted (");
      if (certificate != NULL) append_name(text, capacity, X509_get_issuer_name(certificate));
      append_text(text, capacity, ")");
      break;
    default:
      session->certificate_failure = COPENSSL_TLS_BAD_CERTIFICATE;
      append_text(text, capacity, which);
      append_text(text, capacity, " refused: ");
      append_text(text, capacity, X509_verify_cert_error_string(error));
      break;
  }
  ASN1_TIME_free(now);
}

int copenssl_tls_verify(int ok, X509_STORE_CTX *store) {
  if (ok == 1) return 1;
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  copenssl_tls_session *session = ssl == NULL ? NULL : SSL_get_app_data(ssl);
  // The first fault is the one that is told; verification stops at it.
  if (session != NULL && session->certificate_failure == 0) describe_certificate_failure(session, store);
  return 0;
}

void copenssl_tls_drain_errors(char *text, size_t capacity) {
  unsigned long code = ERR_get_error();
  const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
  text[0] = 0;
  append_text(text, capacity, reason == NULL ? "unknown error" : reason);
  ERR_clear_error();
}

static int32_t fail(copenssl_tls_session *session, int kind) {
  if (session->failure != 0) return COPENSSL_TLS_FAILED;
  if (session->certificate_failure != 0) {
    session->failure = session->certificate_failure;
    ERR_clear_error();
    return COPENSSL_TLS_FAILED;
  }
  session->failure = kind;
  if (session->io_error != 0) {
    snprintf(session->text, sizeof session->text, "%s", "the connection broke");
    ERR_clear_error();
    return COPENSSL_TLS_FAILED;
  }
  if (session->ended && kind == COPENSSL_TLS_HANDSHAKE) {
    if (!session->has_heard && session->context->is_server) session->failure = COPENSSL_TLS_NOTHING;
    snprintf(session->text, sizeof session->text, "%s", "the peer closed the connection during the handshake");
    ERR_clear_error();
    return COPENSSL_TLS_FAILED;
  }
  unsigned long code = ERR_peek_error();
  int reason = code == 0 ? 0 : ERR_GET_REASON(code);
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST
      || reason == SSL_R_UNKNOWN_PROTOCOL) {
    if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST) session->failure = COPENSSL_TLS_PLAIN_HTTP;
    snprintf(session->text, sizeof session->text, "%s", "the peer does not speak TLS (or not a version of it that we do)");
    ERR_clear_error();
    return COPENSSL_TLS_FAILED;
  }
  char words[256];
  copenssl_tls_drain_errors(words, sizeof words);
  snprintf(
      session->text, sizeof session->text, "%s: %s", kind == COPENSSL_TLS_HANDSHAKE ? "the handshake failed" : "the session failed", words);
  return COPENSSL_TLS_FAILED;
}

// --- sessions -----------------------------------------------------------------------------------------------------

copenssl_tls_session *copenssl_tls_session_new(
    copenssl_tls_context *context, int32_t fd, const char *host, int32_t host_is_ip, int64_t now) {
  ERR_clear_error();
  copenssl_tls_session *session = calloc(1, sizeof *session);
  if (session == NULL) return NULL;
  session->context = context;
  session->fd = fd;
  session->now = now;
  session->ssl = SSL_new(context->ssl);
  BIO *bio = BIO_new(transport);
  if (session->ssl == NULL || bio == NULL) {
    BIO_free(bio);
    copenssl_tls_session_free(session);
    ERR_clear_error();
    return NULL;
  }
  BIO_set_data(bio, session);
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl, bio, bio);
  SSL_set_app_data(session->ssl, session);
  X509_VERIFY_PARAM *parameters = SSL_get0_param(session->ssl);
  X509_VERIFY_PARAM_set_time(parameters, (time_t)now);
  int ok = 1;
  if (context->is_server) {
    SSL_set_accept_state(session->ssl);
  } else {
    SSL_set_connect_state(session->ssl);
    // A client without a name to check would trust any valid certificate: refuse to make one.
    ok = host != NULL && host[0] != 0 && strlen(host) < sizeof session->host;
    if (ok) {
      snprintf(session->host, sizeof session->host, "%s", host);
      X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
      ok = host_is_ip ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1
                      : X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1 && SSL_set_tlsext_host_name(session->ssl, host) == 1;
    }
  }
  if (!ok) {
    copenssl_tls_session_free(session);
    ERR_clear_error();
    return NULL;
  }
  return session;
}

void copenssl_tls_session_free(copenssl_tls_session *session) {
  if (session == NULL) return;
  SSL_free(session->ssl);
  free(session->in);
  free(session->out);
  free(session);
}

void copenssl_tls_mark_readable(copenssl_tls_session *session, int32_t is_ending) {
  session->drained = 0;
  if (is_ending) session->is_ending = 1;
}

int32_t copenssl_tls_feed(copenssl_tls_session *session, const void *bytes, size_t count) {
  free(session->in);
  session->in_start = session->in_end = 0;
  session->in = count == 0 ? NULL : malloc(count);
  if (session->in == NULL) return count == 0;
  memcpy(session->in, bytes, count);
  session->in_end = count;
  return 1;
}

int32_t copenssl_tls_handshake(copenssl_tls_session *session) {
  if (session->failure != 0) return COPENSSL_TLS_FAILED;
  ERR_clear_error();
  int result = SSL_do_handshake(session->ssl);
  if (result == 1) return 1;
  int error = SSL_get_error(session->ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
  return fail(session, COPENSSL_TLS_HANDSHAKE);
}

int64_t copenssl_tls_read(copenssl_tls_session *session, void *buffer, size_t count, int32_t *drained) {
  *drained = 0;
  if (session->failure != 0) return COPENSSL_TLS_FAILED;
  size_t total = 0;
  while (total < count) {
    size_t got = 0;
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, (char *)buffer + total, count - total, &got);
    if (result == 1) {
      total += got;
      continue;
    }
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      *drained = 1;
      return total > 0 ? (int64_t)total : COPENSSL_TLS_AGAIN;
    }
    // What was read before the end or the fault is delivered first; the caller, not told "drained", asks again.
    if (error == SSL_ERROR_ZERO_RETURN) return total > 0 ? (int64_t)total : COPENSSL_TLS_END;
    if (session->ended && session->io_error == 0) {
      ERR_clear_error();
      return total > 0 ? (int64_t)total : COPENSSL_TLS_TRUNCATED;
    }
    fail(session, COPENSSL_TLS_SESSION);
    return total > 0 ? (int64_t)total : COPENSSL_TLS_FAILED;
  }
  *drained = session->drained && !SSL_has_pending(session->ssl);
  return (int64_t)total;
}

int64_t copenssl_tls_write(copenssl_tls_session *session, const void *buffer, size_t count) {
  if (session->failure != 0) return COPENSSL_TLS_FAILED;
  size_t total = 0;
  while (total < count && session->out_start == session->out_end) {
    size_t written = 0;
    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, (const char *)buffer + total, count - total, &written);
    if (result == 1) {
      total += written;
      continue;
    }
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) break;
    return fail(session, COPENSSL_TLS_SESSION);
  }
  return (int64_t)total;
}

int32_t copenssl_tls_flush(copenssl_tls_session *session) {
  while (session->out_start < session->out_end) {
    ssize_t sent = send(session->fd, session->out + session->out_start, session->out_end - session->out_start, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
      session->io_error = errno;
      return fail(session, COPENSSL_TLS_SESSION);
    }
    session->out_start += (size_t)sent;
  }
  free(session->out);
  session->out = NULL;
  session->out_start = session->out_end = session->out_capacity = 0;
  return 1;
}

size_t copenssl_tls_waiting(const copenssl_tls_session *session) { return session->out_end - session->out_start; }

void copenssl_tls_close_notify(copenssl_tls_session *session) {
  if (session->failure != 0 || !SSL_is_init_finished(session->ssl)) return;
  ERR_clear_error();
  SSL_shutdown(session->ssl);
  ERR_clear_error();
}

int32_t copenssl_tls_failure(const copenssl_tls_session *session, const char **text, int32_t *system_error) {
  *text = session->text;
  *system_error = session->io_error;
  return session->failure;
}

const char *copenssl_tls_version(const copenssl_tls_session *session) { return SSL_get_version(session->ssl); }

size_t copenssl_tls_alpn(const copenssl_tls_session *session, const uint8_t **protocol) {
  unsigned int count = 0;
  const unsigned char *chosen = NULL;
  SSL_get0_alpn_selected(session->ssl, &chosen, &count);
  *protocol = chosen;
  return count;
}

int32_t copenssl_tls_was_resumed(const copenssl_tls_session *session) { return SSL_session_reused(session->ssl); }
