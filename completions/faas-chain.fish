# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_faas_chain_global_optspecs
    string join \n generate= h/help V/version
end

function __fish_faas_chain_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_faas_chain_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_faas_chain_using_subcommand
    set -l cmd (__fish_faas_chain_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c faas-chain -n "__fish_faas_chain_needs_command" -l generate -d 'Print a man page or a completion script' -r -f -a "man\t'The man page, roff'
bash\t'Completion for bash'
zsh\t'Completion for zsh'
fish\t'Completion for fish'"
complete -c faas-chain -n "__fish_faas_chain_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -s V -l version -d 'Print version'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "check" -d 'Check a chain file: keys, names, conditions, programs, graph'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "plan" -d 'Print the shell commands that a run consists of'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "graph" -d 'Draw the chain'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "test" -d 'Run one function alone on the events of stdin, without queues'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "run" -d 'Run the chain on the events of stdin'
complete -c faas-chain -n "__fish_faas_chain_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand check" -l via -d 'Where its queues would be, instead of what it says of `*`' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand check" -l deliver -d 'How often a message may be delivered [default: what the chain says]' -r -f -a "at-most-once\t'Settled before the function runs: never twice, perhaps not at all'
at-least-once\t'Settled when its outputs have arrived: perhaps twice'
exactly-once\t'Inside the middleware, where it can'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand check" -s o -l output -d 'Shape of the answer' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand plan" -l run -d 'Name of the run [default: chosen]' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand plan" -l via -d 'Where its queues are, instead of what the chain says of `*`' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand plan" -l events -d 'File of events for the trigger; name one to paste the commands into a terminal [default: stdin]' -r -F
complete -c faas-chain -n "__fish_faas_chain_using_subcommand plan" -s h -l help -d 'Print help'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand graph" -s o -l output -d 'Language of the drawing' -r -f -a "mermaid\t'Mermaid, for Markdown'
dot\t'DOT, for Graphviz'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand graph" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l run -d 'Name of the run [default: chosen]' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l via -d 'Where its queues are, instead of what the chain says of `*`' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l invokers -d 'Start N invokers that serve all functions [default: one for each function]' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l resume -d 'Pick up a run whose runner was killed: collect what is under way; no new events are read' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l redrive -d 'Run the dead letters of this file instead of stdin, each from the function that failed' -r -F
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l deliver -d 'How often a message may be delivered [default: what the chain says]' -r -f -a "at-most-once\t'Settled before the function runs: never twice, perhaps not at all'
at-least-once\t'Settled when its outputs have arrived: perhaps twice'
exactly-once\t'Inside the middleware, where it can'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l max-in-flight -d 'Most invocations under way at once [default: what the queues hold]' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l dead -d 'File for dead letters, made only when there are any [default: RUN.dead.ndjson]' -r -F
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -s v -l verbose -d 'Say at the end what the calls of each function cost'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "check" -d 'Check a chain file: keys, names, conditions, programs, graph'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "plan" -d 'Print the shell commands that a run consists of'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "graph" -d 'Draw the chain'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "test" -d 'Run one function alone on the events of stdin, without queues'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "run" -d 'Run the chain on the events of stdin'
complete -c faas-chain -n "__fish_faas_chain_using_subcommand help; and not __fish_seen_subcommand_from check plan graph test run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
