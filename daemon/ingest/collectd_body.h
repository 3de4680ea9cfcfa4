/* The body that collectd's plugin write_http sends with `Format "JSON"`: a list of value lists.
 *
 *   [{"values":[1.5,null],"dstypes":["gauge","gauge"],"dsnames":["rx","tx"],"time":1251533299.265,
 *     "interval":10.000,"host":"web1","plugin":"interface","plugin_instance":"eth0",
 *     "type":"if_octets","type_instance":"","meta":{...}}, ...]
 *
 * Each value is a sample of the metric collectd.PLUGIN.TYPE.DSNAME, without the last part where it
 * is "value"; host, plugin_instance and type_instance are its labels where they are not empty. A
 * gauge is a level; derive and counter are totals that count up; absolute is what came since the
 * last time. null, which is what collectd makes of NaN, is dropped as not_finite.
 *
 * What is no JSON, or has another shape, refuses the body as a whole. A value list that makes no
 * sense is rejected alone, and so is a notification. collectd throws away what is answered with a
 * mistake, and sends nothing twice: the answer is 200 but when all of a body is rejected. */
#pragma once

#include "ingest/body.h"

enum { COLLECTD_VALUES_MAX = 64 }; /* of one value list */

extern const struct body_format COLLECTD_BODY_FORMAT;
