/* Texts in pickles that Python has escaped. */
#pragma once

#include "base/buf.h"

/* The argument of UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX, any other backslash stands for
 * itself. Appends it as UTF-8, at most two bytes for each; false when it cannot be read. */
bool pickle_unescape_unicode(struct str text, struct buf *out);

/* What Python 2's repr() writes between the quotes of a STRING: appends its bytes, no more than
 * there are; false when it cannot be read. */
bool pickle_unescape_string(struct str text, struct buf *out);
