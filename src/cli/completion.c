/* myelin completion bash|zsh|fish: a script for the shell, made from the same tables that parse and explain. */
#include "cli/cli.h"
#include "cli/output.h"

/* Topics and groups are asked of the cluster, shortly: a slow one must not hold the shell up. NULL: nothing is asked. */
static const char *names_command(enum completion complete) {
    return complete == COMPLETE_TOPIC   ? "myelin topic list --quiet --timeout 1000 2>/dev/null"
           : complete == COMPLETE_GROUP ? "myelin group list --quiet --timeout 1000 2>/dev/null"
                                        : NULL;
}

static void put_words(const struct command *command) {
    for (int i = 0; i < command_option_count(command); i++) {
        const struct option_def *def = command_option(command, i);
        printf("--%s ", def->name);
        if (def->letter)
            printf("-%c ", def->letter);
    }
}

/* ---- bash; zsh runs it through bashcompinit ------------------------------------------------------------------ */

static void bash_values(const struct command *command) {
    puts("            case $previous in");
    for (int i = 0; i < command_option_count(command); i++) {
        const struct option_def *def = command_option(command, i);
        if (def->kind == OPTION_FLAG)
            continue;
        printf("                --%s", def->name);
        if (def->letter)
            printf("|-%c", def->letter);
        if (def->choices) {
            printf(") words='");
            for (int c = 0; def->choices[c]; c++)
                printf("%s%s", c ? " " : "", def->choices[c]);
            puts("' ;;");
        } else if (names_command(def->complete)) {
            printf(") words=$(%s) ;;\n", names_command(def->complete));
        } else if (def->complete == COMPLETE_FILE) {
            puts(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;");
        } else {
            puts(") return ;;");
        }
    }
    printf("                *) if [[ $word == -* ]]; then words='");
    put_words(command);
    if (names_command(command->complete))
        printf("'; else words=$(%s); fi ;;\n", names_command(command->complete));
    else if (command->complete == COMPLETE_FILE)
        puts("'; else COMPREPLY=($(compgen -f -- \"$word\")); return; fi ;;");
    else
        puts("'; fi ;;");
    puts("            esac ;;");
}

static void bash_command(const struct command *command) {
    if (!command->sub_count) {
        printf("        '%s '*)\n", command->name);
        bash_values(command);
        return;
    }
    for (int i = 0; i < command->sub_count; i++) {
        printf("        '%s %s')\n", command->name, command->sub[i].name);
        bash_values(&command->sub[i]);
    }
    printf("        '%s '*) words='", command->name);
    for (int i = 0; i < command->sub_count; i++)
        printf("%s ", command->sub[i].name);
    puts("' ;;");
}

static void put_bash(void) {
    puts("# completion of myelin for bash: eval \"$(myelin completion bash)\"\n"
         "_myelin() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words='' command sub=''\n"
         "    COMPREPLY=()\n"
         "    command=${COMP_WORDS[1]}\n"
         "    (( COMP_CWORD > 2 )) && sub=${COMP_WORDS[2]}\n"
         "    if (( COMP_CWORD == 1 )); then");
    printf("        COMPREPLY=($(compgen -W '");
    for (int i = 0; i < cli_command_count; i++)
        printf("%s ", cli_commands[i]->name);
    puts("--help --version' -- \"$word\"))\n        return\n    fi\n    case \"$command $sub\" in");
    for (int i = 0; i < cli_command_count; i++)
        bash_command(cli_commands[i]);
    puts("    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _myelin myelin");
}

static void put_zsh(void) {
    puts("# completion of myelin for zsh: eval \"$(myelin completion zsh)\"\n"
         "autoload -U +X compinit && compinit\n"
         "autoload -U +X bashcompinit && bashcompinit");
    put_bash();
}

/* ---- fish ---------------------------------------------------------------------------------------------------- */

static void put_fish_text(const char *text) { /* in single quotes */
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_options(const struct command *command, const char *condition) {
    for (int i = 0; i < command_option_count(command); i++) {
        const struct option_def *def = command_option(command, i);
        printf("complete -c myelin -n '%s' -l %s", condition, def->name);
        if (def->letter)
            printf(" -s %c", def->letter);
        if (def->kind != OPTION_FLAG)
            fputs(def->complete == COMPLETE_FILE ? " -r -F" : " -x", stdout);
        if (def->choices) {
            printf(" -a '");
            for (int c = 0; def->choices[c]; c++)
                printf("%s%s", c ? " " : "", def->choices[c]);
            putchar('\'');
        } else if (names_command(def->complete)) {
            printf(" -a '(%s)'", names_command(def->complete));
        }
        printf(" -d ");
        put_fish_text(def->help);
        putchar('\n');
    }
    if (names_command(command->complete))
        printf("complete -c myelin -n '%s' -f -a '(%s)'\n", condition, names_command(command->complete));
    else if (command->complete == COMPLETE_FILE)
        printf("complete -c myelin -n '%s' -F\n", condition);
}

static void put_fish(void) {
    char condition[160];
    puts("# completion of myelin for fish: myelin completion fish | source\ncomplete -c myelin -f");
    for (int i = 0; i < cli_command_count; i++) {
        const struct command *command = cli_commands[i];
        printf("complete -c myelin -n '__fish_use_subcommand' -a %s -d ", command->name);
        put_fish_text(command->summary);
        putchar('\n');
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", command->name);
        if (!command->sub_count)
            fish_options(command, condition);
        for (int s = 0; s < command->sub_count; s++) {
            const struct command *sub = &command->sub[s];
            printf("complete -c myelin -n '%s; and test (count (commandline -opc)) -eq 2' -a %s -d ", condition, sub->name);
            put_fish_text(sub->summary);
            putchar('\n');
            char both[256];
            snprintf(both, sizeof both, "%s; and test (commandline -opc)[3] = %s 2>/dev/null", condition, sub->name);
            fish_options(sub, both);
        }
    }
}

static int completion_run(struct options *options) {
    const char *shell = options->arguments[0];
    if (strcmp(shell, "bash") == 0)
        put_bash();
    else if (strcmp(shell, "zsh") == 0)
        put_zsh();
    else if (strcmp(shell, "fish") == 0)
        put_fish();
    else
        return cli_usage(options, "'%s' is not bash, zsh or fish", shell);
    return CLI_OK;
}

const struct command command_completion = {
    .name = "completion",
    .summary = "print a completion script for a shell",
    .arguments = "bash|zsh|fish",
    .argument_min = 1,
    .argument_max = 1,
    .plain = true,
    .details = "bash: eval \"$(myelin completion bash)\" in ~/.bashrc\n"
               "zsh:  eval \"$(myelin completion zsh)\" in ~/.zshrc\n"
               "fish: myelin completion fish >~/.config/fish/completions/myelin.fish\n",
    .run = completion_run,
};
