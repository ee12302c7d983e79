/* Whether this board gives the right bits, and how fast. */
#ifndef NIWAKI_SELFTEST_H
#define NIWAKI_SELFTEST_H

/* Runs the images and frames that the program brings; says how many are exact. 0: all. 1: some are not. */
int selftest_run(void);

/* Prints the time of an inference and of a 640×480 frame. 0, or 1 without memory. */
int selftest_bench(void);

#endif
