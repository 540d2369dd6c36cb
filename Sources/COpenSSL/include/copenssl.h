// What Swift may see of OpenSSL: opaque handles and plain functions. OpenSSL's own headers stay in the .c files.
#ifndef COPENSSL_H
#define COPENSSL_H
#include <stddef.h>
#include <stdint.h>
#include "copenssl_crypto.h"
#include "copenssl_tls.h"
#endif
