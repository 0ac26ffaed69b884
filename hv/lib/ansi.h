/* SPDX-License-Identifier: MIT */
#pragma once
/* What terminals understand, whoever plays one (ECMA-48). */
#define ANSI_ESCAPE	'\033'
#define ANSI_TAB_WIDTH	8U
