/* Certificates for tests, as PEM files in a folder: of nobody, or of an authority that was made
 * before. */
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "test.h"

static inline void certificate_path(char *out, size_t size, const char *folder, const char *name,
                                    const char *suffix)
{
    int len = snprintf(out, size, "%s/%s.%s", folder, name, suffix);
    assert_true(len > 0 && (size_t)len < size);
}

static inline FILE *certificate_open(const char *folder, const char *name, const char *suffix,
                                     const char *mode)
{
    char path[300];

    certificate_path(path, sizeof path, folder, name, suffix);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    if (mode[0] == 'w')
        assert_int_equal(chmod(path, 0600), 0);
    return file;
}

static inline void certificate_extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

enum { CERTIFICATE_DAY_S = 86400, CERTIFICATE_LIFE_S = 90 * CERTIFICATE_DAY_S };

/* FOLDER/NAME.crt and FOLDER/NAME.key, for so many seconds from now on and for `hosts`, as in
 * "DNS:localhost,IP:127.0.0.1". `issuer` NULL: signed by itself, an authority. */
static inline void certificate_make_for(const char *folder, const char *name, const char *issuer,
                                        long life_s, const char *hosts)
{
    static long serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    EVP_PKEY *signer = key;
    X509 *parent = certificate;

    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -CERTIFICATE_LIFE_S));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), life_s));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
    if (issuer != NULL) {
        FILE *file = certificate_open(folder, issuer, "key", "r");
        signer = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        (void)fclose(file);
        file = certificate_open(folder, issuer, "crt", "r");
        parent = PEM_read_X509(file, NULL, NULL, NULL);
        (void)fclose(file);
        assert_true(signer != NULL && parent != NULL);
    }
    assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(parent)), 1);
    certificate_extend(certificate, NID_subject_alt_name, hosts);
    certificate_extend(certificate, NID_basic_constraints,
                       issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    assert_true(X509_sign(certificate, signer, EVP_sha256()) > 0);

    FILE *file = certificate_open(folder, name, "crt", "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
    file = certificate_open(folder, name, "key", "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    if (issuer != NULL) {
        EVP_PKEY_free(signer);
        X509_free(parent);
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
}

static inline void certificate_make_until(const char *folder, const char *name, const char *issuer,
                                          long life_s)
{
    certificate_make_for(folder, name, issuer, life_s, "DNS:localhost,IP:127.0.0.1");
}

static inline void certificate_make(const char *folder, const char *name, const char *issuer)
{
    certificate_make_until(folder, name, issuer, CERTIFICATE_LIFE_S);
}
