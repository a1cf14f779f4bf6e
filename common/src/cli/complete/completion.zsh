#compdef TOOL
# Completion of TOOL for zsh. The tool itself says what there is: queues, runs
# and profiles are asked for when TAB is pressed.

_TOOL() {
    local -a whole open whole_shown open_shown
    local line value hint place=$((CURRENT - 1))
    for line in "${(@f)$(_FAAS_COMPLETE=$place command TOOL -- "${(Q@)words[1,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        hint=${line#"$value"}
        hint=${hint#$'\t'}
        # Behind these something follows, and no space.
        if [[ $value == *[/:=] ]]; then
            open+=("$value")
            open_shown+=("$value${hint:+  -- $hint}")
        else
            whole+=("$value")
            whole_shown+=("$value${hint:+  -- $hint}")
        fi
    done
    if (( $#whole + $#open == 0 )); then
        _files
        return
    fi
    (( $#whole == 0 )) || compadd -l -d whole_shown -a whole
    (( $#open == 0 )) || compadd -S '' -l -d open_shown -a open
}

if [[ ${funcstack[1]} == _TOOL ]]; then
    _TOOL "$@"
else
    compdef _TOOL TOOL
fi
