/* Sends a rendered load at a rate, or as fast as the other side takes it. */
#pragma once

#include "payload.h"

enum load_transport { LOAD_UDP, LOAD_TCP, LOAD_UNIX, LOAD_UNIXGRAM, LOAD_HTTP, LOAD_TLS };

/* "udp", ...; NULL past the last. */
const char *load_transport_name(enum load_transport transport);
bool load_transport_is_datagram(enum load_transport transport);

enum { CONNECTIONS_MAX = 1024, BATCH_MAX = 1024 };

struct sender_options {
    enum load_transport transport;
    const char *address;    /* "127.0.0.1:8125", "[::1]:8125" or a socket's path: loopback only */
    const char *path;       /* LOAD_HTTP: what is posted to */
    const char *headers;    /* and with which headers */
    const char *token_file; /* LOAD_NATIVE; NULL: no token is shown */
    /* LOAD_TLS, as in struct kpid_client_tls */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *tls_name;
    unsigned connections; /* of streams and HTTP */
    unsigned batch;       /* datagrams a system call */
    bool segment;         /* UDP: the kernel cuts runs of datagrams of one size */
    double rate;          /* samples a second; 0: no limit */
    uint64_t wait_s;      /* streams: how long to wait for the peer to close after the last byte */
};

struct sender_result {
    uint64_t samples;
    uint64_t bytes;
    uint64_t units;
    uint64_t errors;  /* datagrams refused because nobody had the port, answers "try again",
                         batches sent again */
    double seconds;   /* until the last byte was handed to the kernel, or the last answer came */
    double drained;   /* until every peer had closed, where that was waited for */
    bool peer_closed; /* true where it was not waited for */
    bool has_latency; /* native: from a batch's first byte to its acknowledgement */
    double p50_ms, p99_ms;
};

/* Connects, sends the payload `repeat` times, and closes. */
bool sender_run(const struct sender_options *options, const struct payload *payload,
                uint64_t repeat, struct sender_result *result, struct error *err);

/* Whether the address is one of this machine. */
bool sender_check_address(const struct sender_options *options, struct error *err);

double monotonic_s(void); /* seconds of CLOCK_MONOTONIC, for measuring */
