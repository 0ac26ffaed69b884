/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The registers of a text screen's CRT controller (Motorola 6845 as VGA has it). There is no screen, but
 * kernels use the cursor's position: course kernels keep it in these registers only, and a kernel that read
 * all ones there would write beyond the screen.
 *
 *   3d4 index   3d5 data: registers 0 to 18h read back what was written; the others read ones
 */
#include <stdint.h>

#include "hv/bus.h"

#define CRTC_REGISTERS	0x19U

struct crtc_state {
	uint8_t index;
	uint8_t regs[CRTC_REGISTERS];
};

struct crtc {
	struct crtc_state s;
};

void crtc_init(struct crtc *crtc);
__attribute__((warn_unused_result)) int crtc_map(struct crtc *crtc, struct bus *pio);
