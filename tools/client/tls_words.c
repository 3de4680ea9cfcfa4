/* What goes wrong with TLS, in words that say what to do. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client_private.h"

enum { DATE_SIZE = 48, NAMES_SIZE = 200 };

const char *kpid_tls_words(void)
{
    unsigned long code = ERR_peek_error();
    const char *words = code == 0 ? NULL : ERR_reason_error_string(code);

    return words == NULL ? "unknown reason" : words;
}

const char *kpid_tls_name(const struct kpid_client *client)
{
    return client->tls.name != NULL ? client->tls.name : client->host;
}

/* --- certificates -----------------------------------------------------------------------------
 */

static const char *date_of(const ASN1_TIME *time, char out[static DATE_SIZE])
{
    struct tm date;

    if (ASN1_TIME_to_tm(time, &date) != 1)
        return "a date that cannot be read";
    (void)snprintf(out, DATE_SIZE, "%04d-%02d-%02d", date.tm_year + 1900, date.tm_mon + 1,
                   date.tm_mday);
    return out;
}

/* One name of a certificate, without what would do harm on a terminal; "" for other kinds. */
static void format_name(const GENERAL_NAME *name, char *out, size_t size)
{
    const ASN1_STRING *text = NULL;
    size_t len = 0;

    out[0] = '\0';
    if (name->type == GEN_IPADD) {
        text = name->d.iPAddress;
        int family = ASN1_STRING_length(text) == sizeof(struct in_addr) ? AF_INET : AF_INET6;
        if (family == AF_INET || ASN1_STRING_length(text) == sizeof(struct in6_addr))
            (void)inet_ntop(family, ASN1_STRING_get0_data(text), out, (socklen_t)size);
    } else if (name->type == GEN_DNS) {
        text = name->d.dNSName;
        for (; len + 1 < size && len < (size_t)ASN1_STRING_length(text); len++) {
            unsigned char byte = ASN1_STRING_get0_data(text)[len];
            out[len] = '?';
            if (byte > ' ' && byte < 0x7f)
                out[len] = (char)byte;
        }
        out[len] = '\0';
    }
}

/* The names that a certificate is for, as many as there is room for. */
static void advise_names(struct kpid_client *client, const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    char list[NAMES_SIZE] = "";
    char name[INET6_ADDRSTRLEN + 64];
    size_t len = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        format_name(sk_GENERAL_NAME_value(names, i), name, sizeof name);
        if (name[0] == '\0' || len + strlen(name) + 4 >= sizeof list)
            continue;
        len +=
            (size_t)snprintf(list + len, sizeof list - len, "%s'%s'", len == 0 ? "" : ", ", name);
    }
    GENERAL_NAMES_free(names);
    if (len == 0)
        kpid_client_advise(client, "it names nobody as its subjectAltName");
    else
        kpid_client_advise(client, "it is for %s", list);
}

static void say_unknown(struct kpid_client *client)
{
    kpid_client_say(client, "the certificate of '%s' is of an authority that is not trusted",
                    client->peer);
    kpid_client_advise(client, client->tls.has_ca_file
                                   ? "is it another one than that of the CA file?"
                                   : "give its certificate as the CA file, if it is your own");
}

void kpid_tls_say_untrusted(struct kpid_client *client, X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);
    const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    /* Those above it are said to be of it, for their names mean nothing to most. */
    const char *whose = X509_STORE_CTX_get_error_depth(store) == 0 ? "" : "an authority of ";
    char date[DATE_SIZE];

    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        kpid_client_say(client, "the certificate of '%s' is not for '%s'", client->peer,
                        kpid_tls_name(client));
        advise_names(client, certificate);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        kpid_client_say(client, "%sthe certificate of '%s' has expired, on %s", whose, client->peer,
                        date_of(X509_get0_notAfter(certificate), date));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        kpid_client_say(client, "%sthe certificate of '%s' is not good before %s", whose,
                        client->peer, date_of(X509_get0_notBefore(certificate), date));
        kpid_client_advise(client, "is the clock of this machine right?");
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        say_unknown(client);
        break;
    default:
        kpid_client_say(client, "the certificate of '%s' cannot be trusted: %s", client->peer,
                        X509_verify_cert_error_string(error));
        break;
    }
}

/* --- sessions ---------------------------------------------------------------------------------
 */

/* What kpid does not like about this client; NULL: it is something else. */
static const char *dislike_of(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "wants a certificate of this client";
    case SSL_AD_UNKNOWN_CA:
        return "does not trust the authority of this client's certificate";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "says that this client's certificate has expired";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "says that this client's certificate is revoked";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
        return "does not take this client's certificate";
    default:
        return NULL;
    }
}

void kpid_tls_say_failure(struct kpid_client *client, unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    int alert = reason - SSL_AD_REASON_OFFSET;
    const char *words = code == 0 ? NULL : ERR_reason_error_string(code);
    const char *dislike = dislike_of(alert);

    if (reason == SSL_R_WRONG_VERSION_NUMBER) {
        kpid_client_say(client, "'%s' does not speak TLS", client->peer);
        kpid_client_advise(client, "is this the port of a listener with 'tls'?");
    } else if (dislike != NULL) {
        client->link.is_denied = true;
        kpid_client_say(client, "'%s' %s", client->peer, dislike);
        if (alert == SSL_AD_CERTIFICATE_REQUIRED)
            kpid_client_advise(client,
                               "give one, with its key, that is of its listener's client_ca");
    } else {
        kpid_client_say(client, "cannot speak TLS with '%s': %s", client->peer,
                        words == NULL ? "unknown reason" : words);
        if (alert == SSL_AD_HANDSHAKE_FAILURE && !client->tls.has_certificate)
            kpid_client_advise(client, "it may want a certificate of this client");
    }
}
