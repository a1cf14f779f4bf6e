# Completion of faas-invoke for fish. The tool itself says what there is: queues, runs
# and profiles are asked for when TAB is pressed.

function __faas_invoke_complete
    set -lx _FAAS_COMPLETE last
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    command faas-invoke -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end

complete --keep-order --no-files --command faas-invoke --arguments "(__faas_invoke_complete)"
