/* SPDX-License-Identifier: MIT */
/*
 * The .sbat section: component, generation, vendor, package, version, address, one line each. A signed boot chain
 * (shim) refuses programs without it and revokes by component and generation. boot.ld keeps it, objcopy copies it.
 */
#define SBAT_TEXT \
	"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n" \
	"trapeze,1,The Trapeze developers,trapeze,1,https://trapeze.invalid/\n"

/* Without the terminating zero, which is not part of the format. */
__attribute__((section(".sbat"), used)) static const char sbat[sizeof(SBAT_TEXT) - 1] = SBAT_TEXT;
