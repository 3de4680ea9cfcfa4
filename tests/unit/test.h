/* What every unit test includes: cmocka and the headers it wants first. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Runs an array of cmocka_unit_test() as this program's tests. */
#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))
