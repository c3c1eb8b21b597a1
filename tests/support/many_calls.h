/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IOLENS_TESTS_MANY_CALLS_H
#define IOLENS_TESTS_MANY_CALLS_H

/* Makes calls of more than a hundred kinds in a directory, many of which fail. The test compares those between the
 * calls faccessat "begin" and faccessat "end". */
void many_calls(const char* path);

#endif
