/* Which of Kafka's broker keys have no effect here, and why. */
#ifndef METADATA_CONFIG_EFFECT_H
#define METADATA_CONFIG_EFFECT_H

#include <stdbool.h>

/* NULL: the key is obeyed. */
const char *config_no_effect(const char *key);
/* Is it obeyed as listener.name.NAME.key too? */
bool config_listener_may_set(const char *key);

#endif
