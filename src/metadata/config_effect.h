/* Which of Kafka's broker keys have no effect here, and why. */
#ifndef BROKER_CONFIG_EFFECT_H
#define BROKER_CONFIG_EFFECT_H

/* NULL: the key is obeyed. */
const char *config_no_effect(const char *key);

#endif
