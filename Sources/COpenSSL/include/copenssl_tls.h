// libssl: TLS over our own byte transport (module Net).
#ifndef COPENSSL_TLS_H
#define COPENSSL_TLS_H
#include <stddef.h>
#include <stdint.h>
#endif
