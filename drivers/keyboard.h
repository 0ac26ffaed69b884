/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Has somebody pressed a key on the machine's own keyboard? Asks the PC's keyboard controller (8042), behind
 * which firmware shows USB keyboards too as long as nobody has taken their controller over. Which key it was
 * is not looked at.
 */
#include <stdbool.h>

bool keyboard_pressed(void);
