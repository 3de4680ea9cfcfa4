/* Addresses of listeners: "127.0.0.1:8125", "[::1]:8125", "localhost:8125". */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Whether it is an address and a port (0 to 65535) on this machine alone. Others are refused with
 * a sentence: they would need allow, TLS or tokens, which are not built yet. */
bool address_check_loopback(struct str address, struct error *err);
