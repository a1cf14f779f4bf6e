# Completion of faas-queue for bash. The tool itself says what there is: queues, runs
# and profiles are asked for when TAB is pressed.

_faas_queue() {
    local -a words=()
    local rest=${COMP_LINE:0:COMP_POINT} trimmed piece line last i
    # Bash splits words at `:`, `=` and `@` too; what has no space between is
    # put together again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        piece=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || piece=$trimmed
        if ((i > 0)) && [[ $trimmed == "$rest" && -n $rest ]]; then
            words[${#words[@]} - 1]+=$piece
        else
            words+=("$piece")
        fi
        rest=${trimmed#"$piece"}
    done
    local place=$((${#words[@]} - 1))
    local word=${words[place]//\\/} before='' breaks=${COMP_WORDBREAKS//[!:=@]/}
    # What Bash replaces begins behind the last of them; at a `@`, with it.
    [[ -z $breaks || $word != *[$breaks]* ]] || before=${word%"${word##*[$breaks]}"}
    before=${before%@}
    COMPREPLY=()
    # Inside of quotes Bash splits and replaces in another way.
    [[ $word != *[\'\"]* ]] || return
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        # Names are somebody else's: what the shell would act on is quoted.
        printf -v piece %q "${line#"$before"}"
        COMPREPLY+=("$piece")
        last=$line
    done < <(_FAAS_COMPLETE=$place command faas-queue -- "${words[@]//\\/}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && $last == *[/:=] ]]; then
        compopt -o nospace
    fi
}

complete -o bashdefault -o default -F _faas_queue faas-queue
