// Contexts: versions, trust, certificates, and what a server keeps over connections.
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <time.h>

#include "tls_internal.h"

static const unsigned char http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static int select_protocol(
    SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned int in_length, void *argument) {
  (void)ssl;
  (void)argument;
  unsigned char *chosen = NULL;
  if (SSL_select_next_proto(&chosen, out_length, http11, sizeof http11, in, in_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// The certificate for the name a client asks for: the first that is good for it, else the default.
static int choose_identity(SSL *ssl, int *alert, void *argument) {
  (void)alert;
  const copenssl_tls_context *context = argument;
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == NULL || context->identity_count == 0) return SSL_TLSEXT_ERR_NOACK;
  unsigned int flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  if (context->leaf != NULL && X509_check_host(context->leaf, name, 0, flags, NULL) == 1) return SSL_TLSEXT_ERR_OK;
  for (size_t i = 0; i < context->identity_count; i++) {
    if (X509_check_host(context->identities[i].leaf, name, 0, flags, NULL) != 1) continue;
    return SSL_set_SSL_CTX(ssl, context->identities[i].ssl) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// --- session tickets ----------------------------------------------------------------------------------------------

// A ticket is good for two hours. A key seals for two, and opens for two more: who steals one learns four hours at most.
static const int64_t ticket_seconds = 2 * 3600;

static int64_t monotonic_seconds(void) {
  struct timespec time = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec + 1;
}

// Copies the key to seal with, or the one of that name to open with. 0: none; 2: an old one.
static int find_ticket_key(
    copenssl_tls_context *context, const unsigned char *name, struct copenssl_tls_ticket_key *found) {
  int result = 0;
  int64_t now = monotonic_seconds();
  pthread_mutex_lock(&context->ticket_lock);
  struct copenssl_tls_ticket_key *keys = context->ticket_keys;
  if (name == NULL) {
    if (keys[0].made_at == 0 || now - keys[0].made_at >= ticket_seconds) {
      struct copenssl_tls_ticket_key fresh;
      if (RAND_bytes(fresh.name, sizeof fresh.name) == 1 && RAND_priv_bytes(fresh.cipher, sizeof fresh.cipher) == 1
          && RAND_priv_bytes(fresh.mac, sizeof fresh.mac) == 1) {
        fresh.made_at = now;
        keys[1] = keys[0];
        keys[0] = fresh;
      }
      OPENSSL_cleanse(&fresh, sizeof fresh);
    }
    if (keys[0].made_at != 0 && now - keys[0].made_at < 2 * ticket_seconds) {
      *found = keys[0];
      result = 1;
    }
  } else {
    for (int i = 0; i < 2 && result == 0; i++) {
      if (keys[i].made_at == 0 || now - keys[i].made_at >= 2 * ticket_seconds) continue;
      if (CRYPTO_memcmp(keys[i].name, name, sizeof keys[i].name) != 0) continue;
      *found = keys[i];
      result = i == 0 ? 1 : 2;
    }
  }
  pthread_mutex_unlock(&context->ticket_lock);
  return result;
}

static int seal_ticket(
    SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH], EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing) {
  copenssl_tls_session *session = SSL_get_app_data(ssl);
  if (session == NULL) return -1;
  struct copenssl_tls_ticket_key key;
  int result = find_ticket_key(session->context, sealing ? NULL : name, &key);
  // Without a key: no ticket is opened, so the handshake is a full one; none is made, so it goes on without.
  if (result == 0) return 0;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
      OSSL_PARAM_construct_end(),
  };
  int ok = EVP_MAC_CTX_set_params(mac, parameters) == 1;
  if (sealing) {
    memcpy(name, key.name, sizeof key.name);
    ok = ok && RAND_bytes(iv, 16) == 1 && EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
  } else {
    ok = ok && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
  }
  OPENSSL_cleanse(&key, sizeof key);
  return ok ? result : -1;
}

// --- contexts -----------------------------------------------------------------------------------------------------

copenssl_tls_context *copenssl_tls_context_new(int32_t is_server) {
  if (copenssl_tls_transport() == NULL) return NULL;
  copenssl_tls_context *context = calloc(1, sizeof *context);
  if (context == NULL) return NULL;
  context->is_server = is_server != 0;
  pthread_mutex_init(&context->ticket_lock, NULL);
  context->ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (context->ssl == NULL || SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION) != 1
      || SSL_CTX_set_cipher_list(context->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    copenssl_tls_context_free(context);
    ERR_clear_error();
    return NULL;
  }
  SSL_CTX_set_options(
      context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Idle connections give their buffers back; one recv takes what one record may hold.
  SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context->ssl, 1);
  if (is_server) {
    static const unsigned char name[] = "stockade";
    SSL_CTX_set_session_id_context(context->ssl, name, sizeof name - 1);
    SSL_CTX_set_alpn_select_cb(context->ssl, select_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(context->ssl, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(context->ssl, context);
    // Sessions live in tickets alone: nothing grows with the number of clients. One ticket a handshake is enough.
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ssl, seal_ticket);
    SSL_CTX_set_timeout(context->ssl, ticket_seconds);
    SSL_CTX_set_num_tickets(context->ssl, 1);
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL);
  } else {
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, copenssl_tls_verify);
    // Unlike its neighbours, this one returns 0 for success.
    if (SSL_CTX_set_alpn_protos(context->ssl, http11, sizeof http11) != 0) {
      copenssl_tls_context_free(context);
      return NULL;
    }
  }
  return context;
}

void copenssl_tls_context_free(copenssl_tls_context *context) {
  if (context == NULL) return;
  for (size_t i = 0; i < context->identity_count; i++) {
    SSL_CTX_free(context->identities[i].ssl);
    X509_free(context->identities[i].leaf);
  }
  free(context->identities);
  X509_free(context->leaf);
  SSL_CTX_free(context->ssl);
  pthread_mutex_destroy(&context->ticket_lock);
  OPENSSL_cleanse(context->ticket_keys, sizeof context->ticket_keys);
  free(context);
}

int32_t copenssl_tls_trust_system(copenssl_tls_context *context, char *error, size_t capacity) {
  ERR_clear_error();
  if (SSL_CTX_set_default_verify_paths(context->ssl) == 1) return 1;
  copenssl_tls_drain_errors(error, capacity);
  return 0;
}

int32_t copenssl_tls_trust_pem(copenssl_tls_context *context, const void *pem, size_t count, char *error, size_t capacity) {
  ERR_clear_error();
  BIO *bio = count > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)count);
  X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
  int added = 0;
  if (bio == NULL) {
    snprintf(error, capacity, "%s", "too large");
    return 0;
  }
  for (;;) {
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    if (certificate == NULL) break;
    int ok = X509_STORE_add_cert(store, certificate);
    if (ok == 1 && context->is_server) SSL_CTX_add_client_CA(context->ssl, certificate);
    X509_free(certificate);
    if (ok != 1) break;
    added++;
  }
  BIO_free(bio);
  unsigned long code = ERR_peek_last_error();
  int is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (added > 0 && is_end) {
    ERR_clear_error();
    return 1;
  }
  if (is_end) {
    ERR_clear_error();
    snprintf(error, capacity, "%s", "no certificate in PEM form found");
  } else {
    copenssl_tls_drain_errors(error, capacity);
  }
  return 0;
}

// Our keys are files without a passphrase; asking on a terminal would hang a daemon.
static int no_passphrase(char *buffer, int size, int writing, void *argument) {
  (void)buffer;
  (void)size;
  (void)writing;
  (void)argument;
  return 0;
}

// The certificate itself, for the caller to free; NULL with a sentence in `error`.
static X509 *load_certificate(
    SSL_CTX *ssl, const void *chain, size_t chain_count, const void *key, size_t key_count, char *error, size_t capacity) {
  ERR_clear_error();
  if (chain_count > INT32_MAX || key_count > INT32_MAX) {
    snprintf(error, capacity, "%s", "too large");
    return NULL;
  }
  BIO *chain_bio = BIO_new_mem_buf(chain, (int)chain_count);
  BIO *key_bio = BIO_new_mem_buf(key, (int)key_count);
  X509 *leaf = chain_bio == NULL ? NULL : PEM_read_bio_X509_AUX(chain_bio, NULL, no_passphrase, NULL);
  EVP_PKEY *private_key = NULL;
  const char *step = NULL;
  if (leaf == NULL) {
    step = "no usable certificate";
  } else if (SSL_CTX_use_certificate(ssl, leaf) != 1) {
    step = "certificate refused";
  }
  if (step == NULL) {
    SSL_CTX_clear_chain_certs(ssl);
    for (;;) {
      X509 *next = PEM_read_bio_X509(chain_bio, NULL, no_passphrase, NULL);
      if (next == NULL) break;
      if (SSL_CTX_add0_chain_cert(ssl, next) != 1) {
        X509_free(next);
        step = "chain refused";
        break;
      }
    }
    unsigned long code = ERR_peek_last_error();
    if (step == NULL && !(ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)) step = "chain not readable";
    if (step == NULL) ERR_clear_error();
  }
  if (step == NULL) {
    private_key = key_bio == NULL ? NULL : PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
    if (private_key == NULL) {
      step = "no usable private key";
    } else if (SSL_CTX_use_PrivateKey(ssl, private_key) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
      step = "the private key does not belong to the certificate";
    }
  }
  if (step != NULL) {
    char words[256];
    copenssl_tls_drain_errors(words, sizeof words);
    snprintf(error, capacity, "%s (%s)", step, words);
  }
  EVP_PKEY_free(private_key);
  BIO_free(key_bio);
  BIO_free(chain_bio);
  if (step == NULL) return leaf;
  X509_free(leaf);
  return NULL;
}

int32_t copenssl_tls_use_certificate(
    copenssl_tls_context *context, const void *chain, size_t chain_count, const void *key, size_t key_count, char *error, size_t capacity) {
  if (context->leaf == NULL) {
    context->leaf = load_certificate(context->ssl, chain, chain_count, key, key_count, error, capacity);
    return context->leaf != NULL;
  }
  struct copenssl_tls_identity *larger = realloc(context->identities, (context->identity_count + 1) * sizeof *larger);
  if (larger == NULL) {
    snprintf(error, capacity, "%s", "no memory");
    return 0;
  }
  context->identities = larger;
  struct copenssl_tls_identity *added = &larger[context->identity_count];
  added->ssl = SSL_CTX_new(TLS_server_method());
  added->leaf = added->ssl == NULL ? NULL : load_certificate(added->ssl, chain, chain_count, key, key_count, error, capacity);
  if (added->leaf == NULL) {
    SSL_CTX_free(added->ssl);
    return 0;
  }
  // What libssl asks the context of the chosen certificate for, and not the session that began with the first.
  SSL_CTX_set_alpn_select_cb(added->ssl, select_protocol, NULL);
  context->identity_count++;
  return 1;
}


void copenssl_tls_verify_clients(copenssl_tls_context *context, int32_t mode) {
  int flags = mode == 0 ? SSL_VERIFY_NONE : mode == 1 ? SSL_VERIFY_PEER : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context->ssl, flags, mode == 0 ? NULL : copenssl_tls_verify);
  for (size_t i = 0; mode != 0 && i < context->identity_count; i++) {
    SSL_CTX *ssl = context->identities[i].ssl;
    SSL_CTX_set1_cert_store(ssl, SSL_CTX_get_cert_store(context->ssl));
    SSL_CTX_set_client_CA_list(ssl, SSL_dup_CA_list(SSL_CTX_get_client_CA_list(context->ssl)));
  }
  // A resumed session is not verified again, so a certificate revoked since would pass: every handshake is a full one.
  if (mode != 0) {
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context->ssl, 0);
  }
}

int32_t copenssl_tls_minimum_version(copenssl_tls_context *context, int32_t version) {
  if (version != 12 && version != 13) return 0;
  return SSL_CTX_set_min_proto_version(context->ssl, version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
}

int32_t copenssl_tls_revoke_pem(copenssl_tls_context *context, const void *pem, size_t count, char *error, size_t capacity) {
  ERR_clear_error();
  BIO *bio = count > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)count);
  if (bio == NULL) {
    snprintf(error, capacity, "%s", "too large");
    return 0;
  }
  X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
  int added = 0, ok = 1;
  while (ok) {
    X509_CRL *list = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    if (list == NULL) break;
    ok = X509_STORE_add_crl(store, list) == 1;
    X509_CRL_free(list);
    added += ok;
  }
  BIO_free(bio);
  unsigned long code = ERR_peek_last_error();
  int is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (ok && added > 0 && is_end) {
    ERR_clear_error();
    // From here on a certificate whose issuer has no current list is refused, too.
    return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
  }
  if (is_end) {
    ERR_clear_error();
    snprintf(error, capacity, "%s", "no revocation list in PEM form found");
  } else {
    copenssl_tls_drain_errors(error, capacity);
  }
  return 0;
}

int32_t copenssl_tls_ciphers(copenssl_tls_context *context, const char *list, const char *suites, char *error, size_t capacity) {
  ERR_clear_error();
  if ((list == NULL || SSL_CTX_set_cipher_list(context->ssl, list) == 1)
      && (suites == NULL || SSL_CTX_set_ciphersuites(context->ssl, suites) == 1)) {
    return 1;
  }
  copenssl_tls_drain_errors(error, capacity);
  return 0;
}
