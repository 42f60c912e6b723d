/* ^C and SIGTERM end long work in order: what was sent is waited for, what was read is printed. A second one ends at once. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);
bool interrupted(void);

#endif
