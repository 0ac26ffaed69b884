/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A byte stream between a guest's serial port or console (front) and what it is plugged into (back).
 * Both sides may refuse bytes; neither loses any. The front calls back->write and keeps what was not
 * taken; the back calls front->writable when there is room again. The back calls front->input and keeps
 * what was not taken; the front calls back->readable when it can take more.
 */
#include <stddef.h>
#include <stdint.h>

struct char_front {
	size_t (*input)(void *dev, const uint8_t *data, size_t len);	/* bytes taken */
	void   (*writable)(void *dev);		/* room again after a short write; may be NULL */
	void   (*resize)(void *dev, uint16_t cols, uint16_t rows);	/* of the window at the other end; may be NULL */
	void    *dev;
};

struct char_back {
	size_t (*write)(void *ctx, const uint8_t *data, size_t len);	/* bytes taken */
	void   (*readable)(void *ctx);		/* the front can take input again; may be NULL */
	void    *ctx;
};
