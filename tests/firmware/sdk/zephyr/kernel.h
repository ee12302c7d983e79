#pragma once
#include <stdint.h>

uint32_t k_cycle_get_32(void);
uint32_t k_cyc_to_us_floor32(uint32_t cycles);
int sys_clock_hw_cycles_per_sec(void);
