# SPDX-License-Identifier: MIT
# make model         the wake-up of a vCPU in all orders of steps, by Spin
model:
	@B=$(B) tests/model/check
.PHONY: model
