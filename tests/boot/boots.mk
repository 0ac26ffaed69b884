# SPDX-License-Identifier: MIT
# make boots N=1000  Debian with 2 to 8 vCPUs, so many times, until one boot fails
N ?= 200
boots: ready
	@case '$(N)' in ''|0*|*[!0-9]*) echo 'make boots: N=$(N) is no number of boots; try N=200' >&2; exit 2;; esac
	@B=$(B) TRAPEZE_BOOTS=$(N) $(PYTEST) -vx tests/boot/test_boots.py
.PHONY: boots
