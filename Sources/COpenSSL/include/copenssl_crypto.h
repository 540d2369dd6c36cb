// libcrypto: digests, keys and signatures (module Crypto). Every function leaves the thread's error queue empty.
#ifndef COPENSSL_CRYPTO_H
#define COPENSSL_CRYPTO_H
#include <stddef.h>
#include <stdint.h>

// Digests and hashes for signatures; the numbers are ours.
#define COPENSSL_SHA256 1
#define COPENSSL_SHA384 2
#define COPENSSL_SHA512 3

// Signature schemes; the numbers are ours.
#define COPENSSL_RSA_PKCS1 1
#define COPENSSL_RSA_PSS 2
#define COPENSSL_ECDSA 3
#define COPENSSL_ED25519 4

// Curves; the numbers are ours.
#define COPENSSL_P256 1
#define COPENSSL_P384 2
#define COPENSSL_P521 3

// The library's version, such as 3.0.17: of what runs, not of what was built with.
const char *_Nonnull copenssl_version(void);

// One-shot digest; out holds 32, 48 or 64 bytes. 1 on success.
int copenssl_digest(int digest, const void *_Nullable data, size_t length, uint8_t *_Nonnull out);
// One-shot HMAC; out holds 32, 48 or 64 bytes. 1 on success.
int copenssl_hmac(int digest, const void *_Nullable key, size_t key_length, const void *_Nullable data, size_t length,
                  uint8_t *_Nonnull out);
// Bytes of the process's random generator. 1 on success.
int copenssl_random(uint8_t *_Nonnull out, size_t length);

typedef struct copenssl_key copenssl_key;

// Public keys; numbers big-endian. NULL if libcrypto does not take them, or if a point is not on its curve.
copenssl_key *_Nullable copenssl_key_rsa(const uint8_t *_Nonnull n, size_t n_length, const uint8_t *_Nonnull e, size_t e_length);
copenssl_key *_Nullable copenssl_key_ec(int curve, const uint8_t *_Nonnull x, const uint8_t *_Nonnull y, size_t coordinate_length);
copenssl_key *_Nullable copenssl_key_ed25519(const uint8_t *_Nonnull x);
// Private keys, freshly made.
copenssl_key *_Nullable copenssl_key_generate_rsa(unsigned bits);
copenssl_key *_Nullable copenssl_key_generate_ec(int curve);
copenssl_key *_Nullable copenssl_key_generate_ed25519(void);
void copenssl_key_free(copenssl_key *_Nullable key);

// Public numbers of a key: which is 'n', 'e', 'x' or 'y'. Writes at most capacity bytes, big-endian, EC coordinates at
// full width. Returns the length, 0 if there is no such number or no room.
size_t copenssl_key_number(const copenssl_key *_Nonnull key, int which, uint8_t *_Nonnull out, size_t capacity);

// A context to check many signatures of one key and scheme, for one thread at a time. It holds the key.
typedef struct copenssl_verifier copenssl_verifier;
copenssl_verifier *_Nullable copenssl_verifier_new(copenssl_key *_Nonnull key, int scheme, int digest);
void copenssl_verifier_free(copenssl_verifier *_Nullable verifier);
// 1 if the signature is the key's over the message; 0 for everything else. ECDSA signatures are r and s at full width.
int copenssl_verify(copenssl_verifier *_Nonnull verifier, const void *_Nullable message, size_t message_length,
                    const uint8_t *_Nullable signature, size_t signature_length);

// Signs; ECDSA signatures are r and s at full width. Returns the length, 0 on failure or without room.
size_t copenssl_sign(copenssl_key *_Nonnull key, int scheme, int digest, const void *_Nullable message, size_t message_length,
                     uint8_t *_Nonnull out, size_t capacity);

#endif
