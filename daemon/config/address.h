/* Addresses of listeners: "127.0.0.1:8125", "[::1]:8125", "localhost:8125". */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Whether it is an address and a port (0 to 65535); `*is_local`: only this machine can reach it. */
bool address_check(struct str address, bool *is_local, struct error *err);
