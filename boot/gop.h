/* SPDX-License-Identifier: MIT */
#pragma once
/* The linear framebuffer, if the firmware has one. */
#include "boot/firmware.h"
#include "boot/handoff.h"

/* The mode stays as the firmware set it; base 0 when there is nothing we can draw on. */
void gop_find(const struct firmware *fw, struct handoff_framebuffer *framebuffer);
