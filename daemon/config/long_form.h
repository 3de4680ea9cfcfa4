/* Short forms -> long forms, in the tree: a KPI that is a text, targets and alerts inside a KPI,
 * `at_least: 100`, defaults.hooks. After this the readers know one form only, and what
 * --print-config shows is what they read. Made nodes keep the places and paths of what a person
 * wrote. */
#pragma once

#include "config/yaml.h"

void long_form(struct yaml_node *root, struct arena *arena, struct findings *findings);
