/* SPDX-License-Identifier: MIT */
#pragma once
/* Debug registers: SDM vol. 3, 18.2 "Debug Registers"; APM vol. 2, 13.1.1 "Debug Registers". */
#include "hv/lib/bits.h"

#define DR_ADDRESSES	4U		/* DR0 to DR3 hold addresses; DR4 and DR5 are other names of DR6 and DR7 */

#define DR6_B		FIELD(3, 0)	/* B0 to B3: which condition was met */
#define DR6_BD		BIT(13)
#define DR6_BS		BIT(14)
#define DR6_BT		BIT(15)
#define DR6_STATUS	(DR6_B | DR6_BD | DR6_BS | DR6_BT)	/* all that a #DB or a MOV may set */
#define DR6_RESET	0xffff0ff0ULL	/* the bits that are always one */

#define DEBUGCTL_BTF	BIT(1)		/* IA32_DEBUGCTL: single-step on branches */

#define DR7_ENABLED	FIELD(7, 0)	/* L0, G0 to L3, G3 */
#define DR7_LOCAL	(BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(8))	/* L0 to L3, LE: gone with a task switch */
#define DR7_EXACT	FIELD(9, 8)	/* LE, GE */
#define DR7_GD		BIT(13)
#define DR7_CONDITIONS	FIELD(31, 16)	/* R/W0, LEN0 to R/W3, LEN3 */
#define DR7_WRITABLE	(DR7_ENABLED | DR7_EXACT | DR7_GD | DR7_CONDITIONS)
#define DR7_RESET	0x400ULL	/* the bit that is always one; nothing is enabled */
