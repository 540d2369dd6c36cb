// libcrypto: digests, keys and signatures (module Crypto).
#ifndef COPENSSL_CRYPTO_H
#define COPENSSL_CRYPTO_H
#include <stddef.h>
#include <stdint.h>
#endif
