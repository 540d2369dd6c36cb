// What a peer's certificate says, as plain bytes.
#include "tls_internal.h"

// An X509 under another name, so that the header stays opaque.
static X509 *x509(const copenssl_certificate *certificate) { return (X509 *)certificate; }

copenssl_certificate *copenssl_tls_peer_certificate(const copenssl_tls_session *session) {
  return (copenssl_certificate *)SSL_get1_peer_certificate(session->ssl);
}

copenssl_certificate *copenssl_certificate_read(const void *pem, size_t count) {
  BIO *bio = count > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)count);
  X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
  BIO_free(bio);
  ERR_clear_error();
  return (copenssl_certificate *)certificate;
}

static int64_t seconds_of(const ASN1_TIME *time) {
  int days = 0, seconds = 0;
  ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
  int ok = epoch != NULL && time != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
  ASN1_TIME_free(epoch);
  return ok ? (int64_t)days * 86400 + seconds : INT64_MIN;
}

int32_t copenssl_certificate_times(const copenssl_certificate *certificate, int64_t *first, int64_t *last) {
  *first = seconds_of(X509_get0_notBefore(x509(certificate)));
  *last = seconds_of(X509_get0_notAfter(x509(certificate)));
  ERR_clear_error();
  return *first != INT64_MIN && *last != INT64_MIN;
}

void copenssl_certificate_free(copenssl_certificate *certificate) { X509_free(x509(certificate)); }

static size_t copy(const void *bytes, size_t count, void *out, size_t capacity) {
  if (count > 0 && count <= capacity) memcpy(out, bytes, count);
  return count;
}

size_t copenssl_certificate_der(const copenssl_certificate *certificate, void *out, size_t capacity) {
  unsigned char *der = NULL;
  int size = i2d_X509(x509(certificate), &der);
  if (size <= 0) {
    ERR_clear_error();
    return 0;
  }
  size_t count = copy(der, (size_t)size, out, capacity);
  OPENSSL_free(der);
  return count;
}

static size_t name_text(const X509_NAME *name, void *out, size_t capacity) {
  BIO *bio = BIO_new(BIO_s_mem());
  size_t count = 0;
  // RFC 2253, but UTF-8 as it is instead of escaped byte by byte.
  unsigned long flags = (XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) | ASN1_STRFLGS_UTF8_CONVERT;
  if (bio != NULL && name != NULL && X509_NAME_print_ex(bio, name, 0, flags) >= 0) {
    char *text = NULL;
    long size = BIO_get_mem_data(bio, &text);
    if (size > 0) count = copy(text, (size_t)size, out, capacity);
  }
  BIO_free(bio);
  ERR_clear_error();
  return count;
}

size_t copenssl_certificate_subject(const copenssl_certificate *certificate, void *out, size_t capacity) {
  return name_text(X509_get_subject_name(x509(certificate)), out, capacity);
}

size_t copenssl_certificate_issuer(const copenssl_certificate *certificate, void *out, size_t capacity) {
  return name_text(X509_get_issuer_name(x509(certificate)), out, capacity);
}

size_t copenssl_certificate_serial(const copenssl_certificate *certificate, void *out, size_t capacity) {
  const ASN1_INTEGER *serial = X509_get0_serialNumber(x509(certificate));
  if (serial == NULL) return 0;
  return copy(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), out, capacity);
}

size_t copenssl_certificate_thumbprint(const copenssl_certificate *certificate, void *out, size_t capacity) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(x509(certificate), EVP_sha256(), digest, &size) != 1) {
    ERR_clear_error();
    return 0;
  }
  return copy(digest, size, out, capacity);
}

size_t copenssl_certificate_name(
    const copenssl_certificate *certificate, int32_t index, int32_t *kind, void *out, size_t capacity) {
  GENERAL_NAMES *names = X509_get_ext_d2i(x509(certificate), NID_subject_alt_name, NULL, NULL);
  size_t count = 0;
  *kind = -1;
  if (names != NULL && index >= 0 && index < sk_GENERAL_NAME_num(names)) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    const ASN1_STRING *string = NULL;
    switch (name->type) {
      case GEN_DNS:
        *kind = 1;
        string = name->d.dNSName;
        break;
      case GEN_IPADD:
        *kind = 2;
        string = name->d.iPAddress;
        break;
      case GEN_URI:
        *kind = 3;
        string = name->d.uniformResourceIdentifier;
        break;
      case GEN_EMAIL:
        *kind = 4;
        string = name->d.rfc822Name;
        break;
      default: *kind = 0;
    }
    if (string != NULL) count = copy(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string), out, capacity);
  }
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  return count;
}
