#include "copenssl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

// Fetched once: looking a digest up by name for every signature costs microseconds.
static EVP_MD *fetched[4];
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch_digests(void) {
  fetched[COPENSSL_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
  fetched[COPENSSL_SHA384] = EVP_MD_fetch(NULL, "SHA384", NULL);
  fetched[COPENSSL_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
  ERR_clear_error();
}

static const EVP_MD *digest_of(int digest) {
  if (digest < COPENSSL_SHA256 || digest > COPENSSL_SHA512) return NULL;
  pthread_once(&fetched_once, fetch_digests);
  return fetched[digest];
}

const char *copenssl_version(void) { return OpenSSL_version(OPENSSL_VERSION_STRING); }

int copenssl_digest(int digest, const void *data, size_t length, uint8_t *out) {
  const EVP_MD *md = digest_of(digest);
  int ok = md != NULL && EVP_Digest(length ? data : "", length, out, NULL, md, NULL) == 1;
  if (!ok) ERR_clear_error();
  return ok;
}

int copenssl_hmac(int digest, const void *key, size_t key_length, const void *data, size_t length, uint8_t *out) {
  const EVP_MD *md = digest_of(digest);
  unsigned written = 0;
  if (md == NULL || key_length > INT32_MAX) return 0;
  // An empty key is a key: libcrypto takes a null pointer to mean "the key of before".
  int ok = HMAC(md, key_length ? key : "", (int)key_length, length ? data : (const void *)"", length, out, &written) != NULL;
  if (!ok) ERR_clear_error();
  return ok;
}

int copenssl_random(uint8_t *out, size_t length) {
  if (length > INT32_MAX) return 0;
  int ok = RAND_bytes(out, (int)length) == 1;
  if (!ok) ERR_clear_error();
  return ok;
}

// MARK: keys

struct copenssl_key {
  EVP_PKEY *pkey;
};

static copenssl_key *wrap(EVP_PKEY *pkey) {
  ERR_clear_error();
  if (pkey == NULL) return NULL;
  copenssl_key *key = malloc(sizeof *key);
  if (key == NULL) {
    EVP_PKEY_free(pkey);
    return NULL;
  }
  key->pkey = pkey;
  return key;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params) {
  EVP_PKEY *pkey = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (context != NULL && params != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
      EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    EVP_PKEY_free(pkey);
    pkey = NULL;
  }
  EVP_PKEY_CTX_free(context);
  return pkey;
}

copenssl_key *copenssl_key_rsa(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length) {
  if (n_length > 8192 || e_length > 8192) return NULL;
  EVP_PKEY *pkey = NULL;
  BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL), *exponent = BN_bin2bn(e, (int)e_length, NULL);
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (modulus != NULL && exponent != NULL && builder != NULL &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
    params = OSSL_PARAM_BLD_to_param(builder);
    pkey = from_params("RSA", params);
  }
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  BN_free(modulus);
  BN_free(exponent);
  return wrap(pkey);
}

static const char *curve_name(int curve) {
  switch (curve) {
  case COPENSSL_P256: return "P-256";
  case COPENSSL_P384: return "P-384";
  case COPENSSL_P521: return "P-521";
  default: return NULL;
  }
}

static size_t curve_width(int curve) {
  switch (curve) {
  case COPENSSL_P256: return 32;
  case COPENSSL_P384: return 48;
  case COPENSSL_P521: return 66;
  default: return 0;
  }
}

copenssl_key *copenssl_key_ec(int curve, const uint8_t *x, const uint8_t *y, size_t coordinate_length) {
  size_t width = curve_width(curve);
  if (width == 0 || coordinate_length != width) return NULL;
  uint8_t point[1 + 2 * 66];
  point[0] = 0x04;  // SEC 1 §2.3.3: uncompressed
  memcpy(point + 1, x, width);
  memcpy(point + 1 + width, y, width);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve_name(curve), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * width),
      OSSL_PARAM_construct_end(),
  };
  EVP_PKEY *pkey = from_params("EC", params);
  // Import already refuses a point off the curve; the full check also refuses infinity and a wrong order.
  EVP_PKEY_CTX *check = pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
  if (check == NULL || EVP_PKEY_public_check(check) != 1) {
    EVP_PKEY_free(pkey);
    pkey = NULL;
  }
  EVP_PKEY_CTX_free(check);
  return wrap(pkey);
}

copenssl_key *copenssl_key_ed25519(const uint8_t *x) {
  return wrap(EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x, 32));
}

copenssl_key *copenssl_key_generate_rsa(unsigned bits) { return wrap(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)); }

copenssl_key *copenssl_key_generate_ec(int curve) {
  const char *name = curve_name(curve);
  return name == NULL ? NULL : wrap(EVP_PKEY_Q_keygen(NULL, NULL, "EC", name));
}

copenssl_key *copenssl_key_generate_ed25519(void) { return wrap(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")); }

void copenssl_key_free(copenssl_key *key) {
  if (key == NULL) return;
  EVP_PKEY_free(key->pkey);
  free(key);
}

static int key_width(EVP_PKEY *pkey) {
  int bits = EVP_PKEY_get_bits(pkey);
  return bits <= 0 ? 0 : (bits + 7) / 8;
}

size_t copenssl_key_number(const copenssl_key *key, int which, uint8_t *out, size_t capacity) {
  size_t length = 0;
  if (EVP_PKEY_is_a(key->pkey, "ED25519")) {
    length = capacity;
    if (which != 'x' || capacity < 32 || EVP_PKEY_get_raw_public_key(key->pkey, out, &length) != 1) length = 0;
    ERR_clear_error();
    return length;
  }
  int rsa = EVP_PKEY_is_a(key->pkey, "RSA");
  const char *name = rsa ? (which == 'n'   ? OSSL_PKEY_PARAM_RSA_N
                            : which == 'e' ? OSSL_PKEY_PARAM_RSA_E
                                           : NULL)
                         : (which == 'x'   ? OSSL_PKEY_PARAM_EC_PUB_X
                            : which == 'y' ? OSSL_PKEY_PARAM_EC_PUB_Y
                                           : NULL);
  BIGNUM *number = NULL;
  if (name != NULL && EVP_PKEY_get_bn_param(key->pkey, name, &number) == 1) {
    size_t width = rsa ? (size_t)BN_num_bytes(number) : (size_t)key_width(key->pkey);
    if (width <= capacity && BN_bn2binpad(number, out, (int)width) == (int)width) length = width;
  }
  BN_free(number);
  ERR_clear_error();
  return length;
}

// MARK: raw ECDSA signatures (RFC 7518 §3.4) and DER

// Writes one positive INTEGER; returns its length. Room for width + 3 bytes.
static size_t der_integer(const uint8_t *number, size_t width, uint8_t *out) {
  while (width > 1 && number[0] == 0) {
    number++;
    width--;
  }
  size_t at = 0, pad = number[0] >> 7;
  out[at++] = 0x02;
  out[at++] = (uint8_t)(width + pad);
  if (pad) out[at++] = 0;
  memcpy(out + at, number, width);
  return at + width;
}

// Room for 2 * (width + 3) + 3 bytes.
static size_t der_signature(const uint8_t *raw, size_t width, uint8_t *out) {
  uint8_t body[2 * (66 + 3)];
  size_t length = der_integer(raw, width, body);
  length += der_integer(raw + width, width, body + length);
  size_t at = 0;
  out[at++] = 0x30;
  if (length >= 0x80) out[at++] = 0x81;
  out[at++] = (uint8_t)length;
  memcpy(out + at, body, length);
  return at + length;
}

// MARK: verification

struct copenssl_verifier {
  EVP_PKEY *pkey;
  EVP_PKEY_CTX *context;  // kept after set-up: worth 3.5 microseconds a signature
  EVP_MD_CTX *one_shot;   // Ed25519 hashes the message twice, so it has no digest to hand over
  int scheme, digest;
  size_t digest_length, signature_length;
};

static int configure(EVP_PKEY_CTX *context, int scheme, const EVP_MD *md) {
  switch (scheme) {
  case COPENSSL_RSA_PKCS1:
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 && EVP_PKEY_CTX_set_signature_md(context, md) == 1;
  case COPENSSL_RSA_PSS:
    // RFC 7518 §3.5: MGF1 with the same hash, salt as long as the hash.
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_signature_md(context, md) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, md) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
  case COPENSSL_ECDSA: return EVP_PKEY_CTX_set_signature_md(context, md) == 1;
  default: return 0;
  }
}

static int fits(EVP_PKEY *pkey, int scheme) {
  switch (scheme) {
  case COPENSSL_RSA_PKCS1:
  case COPENSSL_RSA_PSS: return EVP_PKEY_is_a(pkey, "RSA");
  case COPENSSL_ECDSA: return EVP_PKEY_is_a(pkey, "EC");
  case COPENSSL_ED25519: return EVP_PKEY_is_a(pkey, "ED25519");
  default: return 0;
  }
}

copenssl_verifier *copenssl_verifier_new(copenssl_key *key, int scheme, int digest) {
  if (!fits(key->pkey, scheme)) return NULL;
  copenssl_verifier *verifier = calloc(1, sizeof *verifier);
  if (verifier == NULL || EVP_PKEY_up_ref(key->pkey) != 1) {
    free(verifier);
    ERR_clear_error();
    return NULL;
  }
  verifier->pkey = key->pkey;
  verifier->scheme = scheme;
  verifier->digest = digest;
  int ok = 0;
  if (scheme == COPENSSL_ED25519) {
    verifier->signature_length = 64;
    verifier->one_shot = EVP_MD_CTX_new();
    ok = verifier->one_shot != NULL;
  } else {
    const EVP_MD *md = digest_of(digest);
    size_t width = (size_t)key_width(key->pkey);
    verifier->signature_length = scheme == COPENSSL_ECDSA ? 2 * width : width;
    verifier->context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    ok = md != NULL && width > 0 && (scheme != COPENSSL_ECDSA || width <= 66) && verifier->context != NULL &&
         EVP_PKEY_verify_init(verifier->context) == 1 && configure(verifier->context, scheme, md);
    if (ok) verifier->digest_length = (size_t)EVP_MD_get_size(md);
  }
  ERR_clear_error();
  if (ok) return verifier;
  copenssl_verifier_free(verifier);
  return NULL;
}

void copenssl_verifier_free(copenssl_verifier *verifier) {
  if (verifier == NULL) return;
  EVP_PKEY_CTX_free(verifier->context);
  EVP_MD_CTX_free(verifier->one_shot);
  EVP_PKEY_free(verifier->pkey);
  free(verifier);
}

int copenssl_verify(copenssl_verifier *verifier, const void *message, size_t message_length, const uint8_t *signature,
                    size_t signature_length) {
  // Every scheme of JWS has signatures of one exact length; libcrypto would take shorter ones for PSS.
  if (signature_length != verifier->signature_length) return 0;
  int valid = 0;
  if (message_length == 0) message = "";
  if (verifier->scheme == COPENSSL_ED25519) {
    valid = EVP_MD_CTX_reset(verifier->one_shot) == 1 &&
            EVP_DigestVerifyInit_ex(verifier->one_shot, NULL, NULL, NULL, NULL, verifier->pkey, NULL) == 1 &&
            EVP_DigestVerify(verifier->one_shot, signature, signature_length, message, message_length) == 1;
  } else {
    uint8_t hash[EVP_MAX_MD_SIZE], der[2 * (66 + 3) + 3];
    if (copenssl_digest(verifier->digest, message, message_length, hash)) {
      if (verifier->scheme == COPENSSL_ECDSA) {
        signature_length = der_signature(signature, signature_length / 2, der);
        signature = der;
      }
      valid = EVP_PKEY_verify(verifier->context, signature, signature_length, hash, verifier->digest_length) == 1;
    }
  }
  if (!valid) ERR_clear_error();
  return valid;
}

// MARK: signing

size_t copenssl_sign(copenssl_key *key, int scheme, int digest, const void *message, size_t message_length, uint8_t *out,
                     size_t capacity) {
  if (!fits(key->pkey, scheme)) return 0;
  if (message_length == 0) message = "";
  size_t length = 0;
  if (scheme == COPENSSL_ED25519) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    length = capacity;
    if (context == NULL || EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1 ||
        EVP_DigestSign(context, out, &length, message, message_length) != 1)
      length = 0;
    EVP_MD_CTX_free(context);
  } else {
    const EVP_MD *md = digest_of(digest);
    uint8_t hash[EVP_MAX_MD_SIZE], der[160];
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    size_t hash_length = md == NULL ? 0 : (size_t)EVP_MD_get_size(md), written = scheme == COPENSSL_ECDSA ? sizeof der : capacity;
    if (context != NULL && hash_length > 0 && EVP_PKEY_sign_init(context) == 1 && configure(context, scheme, md) &&
        copenssl_digest(digest, message, message_length, hash) &&
        EVP_PKEY_sign(context, scheme == COPENSSL_ECDSA ? der : out, &written, hash, hash_length) == 1) {
      if (scheme != COPENSSL_ECDSA) {
        length = written;
      } else {
        const uint8_t *at = der;
        size_t width = (size_t)key_width(key->pkey);
        ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)written);
        if (parts != NULL && 2 * width <= capacity && BN_bn2binpad(ECDSA_SIG_get0_r(parts), out, (int)width) == (int)width &&
            BN_bn2binpad(ECDSA_SIG_get0_s(parts), out + width, (int)width) == (int)width)
          length = 2 * width;
        ECDSA_SIG_free(parts);
      }
    }
    EVP_PKEY_CTX_free(context);
  }
  ERR_clear_error();
  return length;
}
